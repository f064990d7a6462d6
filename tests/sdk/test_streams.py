"""Streams in memory: what a handler writes and reads, and the ends that matter."""

from typing import Any

import pytest

from nylon import (
    BodyReader,
    PhaseHandler,
    Plugin,
    PluginError,
    RequestFilterContext,
    ResponseBodyFilterContext,
    ResponseFilterContext,
    ResponseStream,
)

from .phases import Client, PhaseFailed

plugin = Plugin()
raised: list[type[BaseException]] = []


@plugin.handler("plain")
class Plain(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.set_status(203).set_header("X-Head", "yes").body_text("is not sent")
        stream = ctx.response.stream()
        with stream:
            stream.write("one ")
            stream.write(b"two")
            ctx.response.set_header("X-Late", "yes")
            if ctx.request.header("x-raise"):
                raise RuntimeError("asked to")
        try:
            stream.write(b"three")
        except PluginError as error:
            raised.append(type(error))

    def response_filter(self, ctx: ResponseFilterContext) -> None:
        with pytest.raises(PluginError, match="only a request filter"), ctx.response.stream():
            pass


@plugin.handler("async")
class Async(PhaseHandler):
    async def request_filter(self, ctx: RequestFilterContext) -> None:
        async with ctx.response.stream() as stream:
            async for piece in ctx.request.stream():
                await stream.write(piece.upper())


@plugin.handler("reader")
class Reader(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        body = ctx.request.stream()
        pieces = [bytes(body.read(3)), bytes(body.read(100)), bytes(body.read(1))]
        ctx.response.body_json([piece.decode() for piece in pieces])
        ctx.end()


@plugin.handler("filter")
class Filter(PhaseHandler):
    def response_body_stream(self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        for piece in body:
            out.write(piece[::-1])


@plugin.handler("function")
def function(phase: Any) -> None:
    @phase.response_body_stream
    async def _(ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream) -> None:
        async for piece in body:
            await out.write(piece * 2)


def test_a_stream_of_plain_code() -> None:
    with Client(plugin) as client:
        result = client.session("plain").request_filter()
        assert (result.action, result.status, result.body) == ("end", 203, b"one two")
        assert result.headers.get("x-head") == "yes"
        assert "x-late" not in result.headers
    assert raised == [PluginError]


def test_an_exception_in_the_block_is_no_end() -> None:
    with Client(plugin) as client, pytest.raises(PhaseFailed):
        client.session("plain", headers={"X-Raise": "1"}).request_filter()


def test_no_stream_in_other_phases() -> None:
    with Client(plugin) as client:
        client.session("plain").response_filter()


def test_a_stream_of_a_coroutine() -> None:
    with Client(plugin) as client:
        assert client.session("async", method="POST", body=b"hello").request_filter().body == b"HELLO"


def test_reading_so_many_bytes() -> None:
    with Client(plugin) as client:
        assert client.session("reader", method="POST", body=b"hello").request_filter().json() == ["hel", "lo", ""]


@pytest.mark.parametrize(("entry", "body"), [("filter", b"olleh"), ("function", b"hellohello")])
def test_a_body_filter(entry: str, body: bytes) -> None:
    with Client(plugin) as client:
        assert client.session(entry).response_body_filter(b"hello").body == body


def test_one_kind_of_body_filter() -> None:
    other = Plugin()

    class Both(PhaseHandler):
        def response_body_filter(self, ctx: ResponseBodyFilterContext) -> None: ...

        def response_body_stream(
            self, ctx: ResponseBodyFilterContext, body: BodyReader, out: ResponseStream
        ) -> None: ...

    with pytest.raises(TypeError, match="one of them"):
        other.handler("both")(Both)
