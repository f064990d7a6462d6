"""Requests, responses and contexts as handlers see them."""

import datetime
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from nylon import DecodingError, LoggingContext, PhaseHandler, Plugin, RequestFilterContext, Response

from .phases import Client, PhaseFailed, Result, Session


def run(handler: Callable[[Any], object], phase: str = "request_filter", **request: Any) -> Result:
    """Runs one phase of a request with a plain function."""
    return getattr(session(handler, phase, **request), phase)()


def session(handler: Callable[[Any], object], phase: str = "request_filter", **request: Any) -> Session:
    def method(self: object, ctx: Any) -> object:
        return handler(ctx)

    plugin = Plugin()
    plugin.handler("entry")(type("Handler", (), {phase: method}))
    return Client(plugin).session("entry", **request)


def _writer(write: Callable[[Response], Response]) -> Callable[[Response], Response]:
    return write


def read(look: Callable[[RequestFilterContext], object], **request: Any) -> object:
    seen: list[object] = []
    run(lambda ctx: seen.append(look(ctx)), **request)
    return seen[0]


class TestRequest:
    def test_the_head(self) -> None:
        def look(ctx: RequestFilterContext) -> None:
            request = ctx.request
            assert (request.method, request.path, request.query) == ("PUT", "/a%20b", "x=1&y=%C3%BC&x=2")
            assert (request.host, request.port, request.client_ip) == ("[::1]", 8080, "2001:db8::1")
            assert request.url == "https://[::1]:8080/a%20b?x=1&y=%C3%BC&x=2"
            assert request.params == {"id": "7"}
            request.params["id"] = "a copy"
            assert request.params == {"id": "7"}
            assert request.query_params["x"] == "1"
            assert request.query_params.get_all("x") == ["1", "2"]
            assert dict(request.query_params) == {"x": "1", "y": "ü"}
            assert request.query_params.get("nope") is None
            assert request.received_at.tzinfo is datetime.UTC
            assert abs(request.received_at.timestamp() * 1000 - request.timestamp_ms) < 1
            assert not request.is_websocket

        run(
            look,
            method="PUT",
            path="/a%20b",
            query="x=1&y=%C3%BC&x=2",
            scheme="https",
            host="[::1]",
            port=8080,
            client_ip="2001:db8::1",
            params={"id": "7"},
        )

    @pytest.mark.parametrize("port", [0, 80, 443])
    def test_usual_ports_are_not_in_the_url(self, port: int) -> None:
        assert read(lambda ctx: ctx.request.url, host="a.test", port=port) == "http://a.test/"

    def test_headers_do_not_care_about_case(self) -> None:
        def look(ctx: RequestFilterContext) -> None:
            request, headers = ctx.request, ctx.request.headers
            assert request.header("X-ONE") == "1"
            assert request.header("absent") is None
            assert request.header("absent", "d") == "d"
            assert request.header("empty") == ""
            assert request.header("after-empty") is None
            assert request.header("accept") == "a"
            assert headers["Accept"] == "a, b"
            assert headers["cookie"] == "x=1; y=2"
            assert headers.get_all("ACCEPT") == ["a", "b"]
            assert "x-One" in headers
            assert 1 not in headers
            assert len(headers) == 4
            assert list(headers) == ["x-one", "accept", "cookie", "empty"]
            assert dict(headers)["accept"] == "a, b"
            assert headers == {"x-one": "1", "accept": "a, b", "cookie": "x=1; y=2", "empty": ""}
            assert ("accept", "b") in headers.multi_items()
            with pytest.raises(KeyError):
                headers["absent"]
            assert "1" not in repr(headers)
            assert isinstance(headers, Mapping)
            match headers:
                case {"x-one": value}:
                    assert value == "1"
                case _:
                    pytest.fail("a mapping pattern does not match")

        given = [("X-One", "1"), ("Accept", "a"), ("cookie", "x=1"), ("accept", "b"), ("Cookie", "y=2"), ("Empty", "")]
        run(look, headers=given)

    def test_writes_are_seen_at_once_and_in_order(self) -> None:
        def change(ctx: RequestFilterContext) -> None:
            ctx.request.set_header("X-User", "ann").add_header("x-user", "bob").remove_header("X-One")
            assert ctx.request.headers["x-user"] == "ann, bob"
            assert ctx.request.header("x-one") is None

        result = run(change, headers={"x-one": "1", "x-user": "mallory"})
        assert result.operations == [(400, "X-User", b"ann"), (402, "x-user", b"bob"), (401, "X-One")]

    def test_body(self) -> None:
        assert read(lambda ctx: (ctx.request.body(), ctx.request.body()), body=b"hi") == (b"hi", b"hi")
        assert read(lambda ctx: ctx.request.body()) == b""
        assert read(lambda ctx: ctx.request.content_length, body=b"hi") == 2
        assert read(lambda ctx: ctx.request.content_length) == 0

    def test_a_body_beyond_the_limit_fails_the_phase(self) -> None:
        with pytest.raises(PhaseFailed) as failed:
            run(lambda ctx: ctx.request.body() and None, body=b"12345", max_body_bytes=4)
        assert failed.value.code == "body_too_large"


class TestResponse:
    def test_everything_a_request_filter_can_set(self) -> None:
        def answer(ctx: RequestFilterContext) -> None:
            response = ctx.response
            assert response.status == 200
            response.status = 201
            assert response.set_status(202).status == 202
            response.set_header("X-A", "1").add_header("Set-Cookie", "a=1").add_header("Set-Cookie", "b=2")
            response.headers["x-b"] = "2"
            del response.headers["X-A"]
            with pytest.raises(KeyError):
                del response.headers["x-a"]
            assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
            assert "x-a" not in response.headers
            assert response.body_text("é").read_body() == "é".encode()
            ctx.end()

        result = run(answer)
        assert (result.action, result.status, result.body) == ("end", 202, "é".encode())
        assert result.operations == [
            (102, 201),
            (102, 202),
            (100, "X-A", b"1"),
            (410, "Set-Cookie", b"a=1"),
            (410, "Set-Cookie", b"b=2"),
            (100, "x-b", b"2"),
            (101, "X-A"),
            (100, "content-type", b"text/plain; charset=utf-8"),
            (103, "é".encode()),
        ]

    @pytest.mark.parametrize(
        ("write", "content_type", "body"),
        [
            (_writer(lambda response: response.body_html("<p>")), "text/html; charset=utf-8", b"<p>"),
            (
                _writer(lambda response: response.body_json({"a": ["ü", None]})),
                "application/json",
                '{"a":["ü",null]}'.encode(),
            ),
            (_writer(lambda response: response.body_raw(bytearray(b"x"))), None, b"x"),
            (_writer(lambda response: response.body_raw(memoryview(b"xyz")[1:])), None, b"yz"),
            (_writer(lambda response: response.body_raw(b"")), None, b""),
        ],
    )
    def test_bodies(self, write: Callable[[Response], Response], content_type: str | None, body: bytes) -> None:
        result = run(lambda ctx: write(ctx.response) and None)
        assert result.body == body
        assert result.headers.get("content-type") == content_type

    def test_a_value_without_json_form_raises_and_leaves_the_body(self) -> None:
        def answer(ctx: RequestFilterContext) -> None:
            ctx.response.body_text("before")
            with pytest.raises(TypeError):
                ctx.response.body_json(object())

        assert run(answer).body == b"before"

    def test_redirect(self) -> None:
        result = run(lambda ctx: ctx.response.redirect("/login", 303) and ctx.end())
        assert (result.action, result.status, result.headers, result.body) == ("end", 303, {"location": "/login"}, b"")

    def test_response_filter_sees_the_service(self) -> None:
        def change(ctx: Any) -> None:
            assert (ctx.response.status, ctx.response.error) == (404, "upstream: no")
            assert ctx.response.headers["content-type"] == "text/plain"
            assert ctx.response.header("Server") == "x"
            ctx.response.remove_header("SERVER")
            assert "server" not in ctx.response.headers

        given = session(change, "response_filter")
        result = given.response_filter(
            status=404, headers={"Content-Type": "text/plain", "server": "x"}, error="upstream: no"
        )
        assert result.operations == [(101, "SERVER")]
        assert result.status is None

    def test_body_filter_reads_and_replaces(self) -> None:
        def change(ctx: Any) -> None:
            assert ctx.response.bytes_sent == 5
            ctx.response.set_header("x", "too late")
            ctx.response.body_raw(ctx.response.read_body().upper())
            assert ctx.response.read_body() == b"HELLO"
            ctx.response.body_text(ctx.response.read_body().decode() + "!")

        result = session(change, "response_body_filter").response_body_filter(b"hello")
        assert result.operations == [(103, b"HELLO!")]

    def test_logging_is_read_only(self) -> None:
        def look(ctx: LoggingContext) -> None:
            response = ctx.response
            assert (response.status, response.bytes_sent, response.duration_ms) == (503, 7, 1500)
            assert response.duration == datetime.timedelta(seconds=1.5)
            assert response.read_body() == b""
            response.set_status(200).set_header("a", "b").body_text("c")
            ctx.request.set_header("a", "b")
            assert not hasattr(ctx, "end")

        given = session(look, "logging")
        assert given.logging(status=503, bytes_sent=7, duration_ms=1500, error="gone").operations == []


class TestTerminalCalls:
    def test_the_first_one_wins_and_later_writes_do_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        def answer(ctx: RequestFilterContext) -> None:
            ctx.response.set_status(201)
            ctx.end()
            ctx.next()
            ctx.end()
            ctx.response.set_status(500).body_text("late")
            ctx.request.set_header("x", "late")

        for _ in range(3):
            result = run(answer)
            assert (result.action, result.operations) == ("end", [(102, 201)])
        told = [record for record in caplog.records if "write ignored" in record.getMessage()]
        assert len(told) == len({record.getMessage().split(" id=")[0] + str(record.args) for record in told})

    def test_next(self) -> None:
        assert run(lambda ctx: ctx.next()).action == "next"
        assert run(lambda ctx: None).action == "next"

    def test_what_is_kept_stays_readable_but_not_writable(self) -> None:
        kept: list[RequestFilterContext] = []
        run(kept.append, path="/kept", headers={"a": "1"})
        ctx = kept[0]
        assert (ctx.request.path, ctx.request.headers["a"], ctx.response.status) == ("/kept", "1", 200)
        ctx.response.set_status(500)
        assert ctx.response.status == 200
        ctx.next()

    @pytest.mark.parametrize("look_before", [True, False])
    def test_changes_stay_readable_in_what_is_kept(self, look_before: bool) -> None:
        kept: list[Any] = []

        def change(ctx: RequestFilterContext) -> None:
            kept.append((ctx.request.headers, ctx.response))
            ctx.request.set_header("a", "2")
            ctx.response.set_header("X-A", "1").body_text("old").body_text("new")
            if look_before:
                assert ctx.request.headers["a"] == "2"
                assert ctx.response.headers["x-a"] == "1"
            ctx.request.add_header("A", "3")
            ctx.response.add_header("x-a", "2")

        run(change, headers={"a": "1"})
        headers, response = kept[0]
        for _ in range(2):
            assert headers["a"] == "2, 3"
            assert response.headers["x-a"] == "1, 2"
            assert response.headers["content-type"] == "text/plain; charset=utf-8"
            assert response.read_body() == b"new"

    def test_changed_request_headers_are_seen_in_later_phases(self) -> None:
        seen: list[tuple[str | None, str | None]] = []

        class Handler(PhaseHandler):
            def request_filter(self, ctx: RequestFilterContext) -> None:
                ctx.request.set_header("a", "2").remove_header("b")

            def logging(self, ctx: LoggingContext) -> None:
                seen.append((ctx.request.header("A"), ctx.request.header("b")))

        plugin = Plugin()
        plugin.handler("entry")(Handler)
        given = Client(plugin).session("entry", headers={"a": "1", "b": "1"})
        given.request_filter()
        given.logging()
        assert seen == [("2", None)]

    @pytest.mark.parametrize("value", [True, False, "next", {}, 0])
    def test_a_returned_value_never_passes_a_request(self, value: object) -> None:
        with pytest.raises(PhaseFailed, match="returned a value of type"):
            run(lambda ctx: value)


class TestPayload:
    def payload(self, value: object, look: Callable[[RequestFilterContext], object]) -> object:
        seen: list[object] = []
        session(lambda ctx: seen.append(look(ctx))).request_filter(payload=value)
        return seen[0]

    def test_is_a_dict_always(self) -> None:
        assert self.payload({"a": [1]}, lambda ctx: ctx.payload) == {"a": [1]}
        assert self.payload(None, lambda ctx: ctx.payload) == {}
        assert self.payload([1], lambda ctx: ctx.payload) == {}
        assert self.payload({"a": 1}, lambda ctx: ctx.payload is ctx.payload) is True

    def test_as_a_type(self) -> None:
        @dataclass
        class Limit:
            per_second: int
            name: str = "all"

        class Wanted(TypedDict):
            roles: list[str]

        assert self.payload({"per_second": 3}, lambda ctx: ctx.payload_as(Limit)) == Limit(3)
        assert self.payload({"roles": ["a"]}, lambda ctx: ctx.payload_as(Wanted)) == {"roles": ["a"]}
        with pytest.raises(PhaseFailed, match=r"decoding the payload\.per_second: expected int, found str"):
            self.payload({"per_second": "3"}, lambda ctx: ctx.payload_as(Limit))
        assert issubclass(DecodingError, Exception)


def test_ids() -> None:
    seen: list[tuple[object, ...]] = []

    def look(ctx: RequestFilterContext) -> None:
        seen.append((ctx.entry, ctx.phase, ctx.request_id, ctx.request.id, ctx.session_id, len(ctx.session_uid)))
        assert ctx.cancelled is False
        json.dumps(repr(ctx))

    run(look)
    run(look)
    (entry, phase, one, same, first, length), (_, _, two, _, second, _) = seen
    assert (entry, phase, length) == ("entry", "request_filter", 32)
    assert one == same
    assert one != two
    assert isinstance(first, int)
    assert second == first + 1


def test_handler_is_a_plain_class_too() -> None:
    assert not issubclass(type("Handler", (), {}), PhaseHandler)
