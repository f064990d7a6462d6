"""Requests with ids, and what must be true of each answer."""

import hashlib
import itertools
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPException

from tests.e2e.support.http import Client
from tests.e2e.support.upstream import Upstream

from .plugin import mark

# what the gateway may say while things break; anything else is a broken promise
FAILURES = {"PLUGIN_UNAVAILABLE", "PLUGIN_TIMEOUT", "PLUGIN_LOST", "PLUGIN_BUSY"}
# a cut NATS connection shows as a gap, which is a lost worker, or on the worker's side as a handler that raised
RAISED = {"PLUGIN_ERROR"}
SIZE = 60_000


@dataclass
class Load:
    """Clients that ask one thing after the other until they are told to stop."""

    addresses: list[str]
    clients: int
    outcomes: Counter[str] = field(default_factory=Counter[str])
    broken: list[str] = field(default_factory=list[str])
    bad: set[str] = field(default_factory=set[str])
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def start(self) -> None:
        for number in range(self.clients):
            self._threads.append(threading.Thread(target=self._run, args=(number,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                self.broken.append("a request was not answered within a minute")

    def _run(self, number: int) -> None:
        address = self.addresses[number % len(self.addresses)]
        client = Client(address)
        while not self._stop.is_set():
            serial = next(self._numbers)
            try:
                self.ask(client, serial)
            except (OSError, HTTPException) as error:
                # a gateway that lives answers; what it has begun to send it may have to break off, and that shows
                self.outcomes[f"connection: {type(error).__name__}"] += 1
                if "IncompleteRead" not in type(error).__name__:
                    self.broken.append(f"request {serial}: {error!r} instead of an answer")
                client.close()
                client = Client(address)
        client.close()

    def ask(self, client: Client, serial: int) -> None:
        """One request of a kind that goes by its number."""
        identity, good = f"{client_token(client)}-{serial}", serial % 3 != 0
        host, method, target, body = (
            ("auth", "GET", f"/echo/{serial}", b""),
            ("slow", "POST", f"/echo/{serial}", identity.encode() * 2000),
            ("swap", "GET", f"/bytes/{SIZE}", b""),
        )[serial // 3 % 3]
        headers = {"Host": host, "X-Id": identity}
        if good:
            headers["Authorization"] = "Bearer secret"
        else:
            self.bad.add(identity)
        answer = client.request(method, target, headers=headers, body=body or None)
        if answer.status in (500, 502, 503, 504):
            code = str(json.loads(answer.body)["error"])
            self.outcomes[code] += 1
            # what is refused at once must not crowd out what is served
            self._stop.wait(0.02)
            if code not in FAILURES | RAISED:
                self.broken.append(f"{identity}: {answer.status} {code}")
            return
        self.outcomes[str(answer.status)] += 1
        if answer.status != (200 if good else 401):
            self.broken.append(f"{identity}: {'with' if good else 'without'} a token: {answer.status}")
        elif good:
            self.whole(identity, host, answer.body, body)

    def whole(self, identity: str, host: str, body: bytes, sent: bytes) -> None:
        """The body is this request's own, and all of it."""
        if host == "swap":
            wanted = (b"".join(b"%04d" % number for number in range(2500)) * (SIZE // 10_000 + 1))[:SIZE][::-1]
            if body != wanted:
                self.broken.append(f"{identity}: {len(body)} bytes that are not the filtered body")
            return
        told = json.loads(body)
        ids = [value for name, value in told["headers"] if name == "x-id"]
        if ids != [identity] or told["sha256"] != hashlib.sha256(sent).hexdigest():
            self.broken.append(f"{identity}: the answer to {ids}, a body of {told['length']} bytes")

    def check_upstream(self, upstream: Upstream) -> None:
        """Nothing came without the plugin's mark, nothing twice."""
        seen = Counter[str]()
        for request in upstream.seen:
            identity = request.header("x-id") or ""
            seen[identity] += 1
            if request.header("x-mark") != mark(identity):
                self.broken.append(f"{identity} reached the upstream without the plugin's mark")
            if identity in self.bad:
                self.broken.append(f"{identity} reached the upstream and has no token")
            digest = request.header("x-digest")
            if digest is not None and digest != hashlib.sha256(request.body).hexdigest():
                self.broken.append(f"{identity}: the plugin saw another body than the upstream")
        self.broken += [
            f"{identity} reached the upstream {count} times" for identity, count in seen.items() if count > 1
        ]


def client_token(client: Client) -> str:
    """Tells clients apart in ids."""
    return f"{id(client):x}"
