"""Steps of an HTTP and WebSocket client and about what reached the upstream: the same in every case with a gateway."""

import asyncio
from collections.abc import Callable
from typing import Any

from .cases import FailedError, Step
from .match import differs, shown
from .patience import PATIENCE, until
from .socket_steps import SocketSteps
from .steps import Verbs
from .web import Answer, Exchange, Upstream, error_of


class ClientSteps:
    """The clients of one case, and its upstream. `wrong` adds to a text what else has gone wrong meanwhile."""

    def __init__(self, place: str, address: str, upstream: Upstream, wrong: Callable[[], str] = lambda: "") -> None:
        self.place, self.address, self.upstream, self.wrong = place, address, upstream, wrong
        self.exchanges: dict[str, Exchange] = {}
        self.sockets = SocketSteps(place, address)
        self.record = self.sockets.record
        self.mutate_answer: Callable[[Answer], Answer] = lambda answer: answer
        self.mutate_request: Callable[[dict[str, Any]], dict[str, Any]] = lambda seen: seen
        # so many bytes have been streamed under this name
        self.streamed: Callable[[str], int] = lambda _: 0

    def verbs(self) -> Verbs:
        """Every verb of a client."""
        return {
            "request": self.request, "feeds": self.feeds, "answer": self.answer, "sees": self.sees,
            "reads": self.reads, "leave": self.leave, "upstream": self.expect_upstream, **self.sockets.verbs(),
        }  # fmt: skip

    def quit(self) -> None:
        """Every client goes."""
        for exchange in self.exchanges.values():
            exchange.leave()
        self.sockets.leave()

    async def request(self, step: Step) -> None:
        """Send a request."""
        body = step.get("body", "").encode() or b"0123456789abcdef" * (step.get("size", 0) // 16)
        port = f":{step['port']}" if "port" in step else ""
        headers = {"host": f"{self.place}.test{port}", "x-case": self.place, **step.get("headers", {})}
        method = step.get("method", "POST" if body else "GET")
        if step.get("chunked"):
            headers["transfer-encoding"] = "chunked"
        exchange = Exchange(
            self.address, method, step.get("target", "/x"), headers, body, reads=step.get("reads", True)
        )
        self.exchanges[step["request"]] = exchange

    async def feeds(self, step: Step) -> None:
        """`{ feeds = "r", body = "…", last = true }`: a piece of the body of a request with `chunked = true`."""
        data = step.get("body", "").encode() or b"0123456789abcdef" * (step.get("size", 0) // 16)
        await self.exchanges[step["feeds"]].feed(data, last=step.get("last", False))

    async def reads(self, step: Step) -> None:
        """A client that has read nothing begins to."""
        (self.exchanges.get(step["reads"]) or self.sockets.clients[step["reads"]]).reads.set()

    async def sees(self, step: Step) -> None:
        """What the client has so far, while its answer goes on: status, headers, the whole of the body yet."""
        exchange = self.exchanges[step["sees"]]
        wanted = {key: value for key, value in step.items() if key in ("status", "headers", "body")}

        def differing() -> str | None:
            answer = exchange.answer
            return differs(wanted, {"status": answer.status, "headers": answer.headers, "body": answer.body})

        if await until(lambda: differing() is None or None, step.get("within", 3000) / 1000) is None:
            raise FailedError(f"{differing()}; seen {shown(exchange.answer)}{self.wrong()}")
        if exchange.task.done():
            raise FailedError(f"expected an answer that goes on, seen its end: {shown(exchange.answer)}")

    async def leave(self, step: Step) -> None:
        """The client goes away."""
        (self.exchanges.pop(step["leave"], None) or self.sockets.clients[step["leave"]]).leave()

    async def answer(self, step: Step) -> None:
        """Wait for the client's answer."""
        label = step["answer"]
        limit = step.get("within", 3000) / 1000 * PATIENCE
        done, _ = await asyncio.wait([self.exchanges[label].task], timeout=limit + 2)
        if not done:
            raise FailedError(f"expected an answer, seen nothing within {limit + 2:.1f} s{self.wrong()}")
        answer = self.mutate_answer(self.exchanges[label].task.result())
        if answer.cut != step.get("cut", False):
            raise FailedError(f"expected {'a broken' if step.get('cut') else 'a whole'} answer, seen {shown(answer)}")
        seen: dict[str, Any] = {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body,
            "length": len(answer.body),
            "trailers": answer.trailers,
        }
        self.sockets.keep(step, {**seen, "cut": answer.cut})
        wanted = {key: value for key, value in step.items() if key in seen}
        if found := differs(wanted, seen):
            raise FailedError(f"answer: {found}; body {shown(answer.body[:200])}")
        if "streamed" in step and len(answer.body) != self.streamed(step["streamed"]):
            raise FailedError(f"14.1: streamed {self.streamed(step['streamed'])}, seen {len(answer.body)} bytes")
        if "error" in step:
            self._error(step, answer)
        if answer.seconds > limit or answer.seconds < step.get("at_least", 0) / 1000:
            raise FailedError(
                f"expected an answer within {step.get('within')} ms, seen after {answer.seconds * 1000:.0f} ms"
            )

    def _error(self, step: Step, answer: Answer) -> None:
        told = error_of(answer)
        if told.get("error") != step["error"] or told.get("status") != answer.status:
            raise FailedError(f"21.2: expected {step['error']}, seen {answer.status} {shown(answer.body[:200])}")
        if not told.get("id") or told["id"] != answer.header("x-request-id"):
            raise FailedError(
                f"21.2: id {told.get('id')!r} in the body, {answer.header('x-request-id')!r} in the header"
            )
        if (answer.status == 503) != (answer.header("retry-after") is not None):
            raise FailedError(f"21.1: status {answer.status} with Retry-After {answer.header('retry-after')!r}")

    async def expect_upstream(self, step: Step) -> None:
        """What reached the upstream in this case: so many, the last one like this."""
        seen = [self.mutate_request(one) for one in self.upstream.seen.get(self.place, [])]
        if len(seen) != step["upstream"]:
            raise FailedError(f"24.6: expected {step['upstream']} requests at the upstream, seen {len(seen)}")
        for one in seen:
            self.sockets.keep(step, one)
        if "like" in step and (found := differs(step["like"], seen[-1])):
            raise FailedError(f"upstream: {found}")
