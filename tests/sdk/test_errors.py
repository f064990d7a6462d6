"""What a handler raises: an answer, or a failure that is contained and logged."""

import asyncio
import logging
import traceback
from typing import Any

import pytest

from nylon import (
    HttpError,
    PhaseHandler,
    Plugin,
    RequestFilterContext,
)

from .phases import Client, PhaseFailed


class TestErrors:
    def plugin(self, error: BaseException, *, asynchronous: bool, phase: str = "request_filter") -> Plugin:
        def sync(self: Any, ctx: Any) -> None:
            ctx.response.body_text("before")
            raise error

        async def later(self: Any, ctx: Any) -> None:
            await asyncio.sleep(0)
            sync(self, ctx)

        plugin = Plugin()
        plugin.handler("h")(type("Handler", (), {phase: later if asynchronous else sync}))
        return plugin

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_http_error_answers(self, asynchronous: bool) -> None:
        error = HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})
        with Client(self.plugin(error, asynchronous=asynchronous)) as client:
            result = client.session("h").request_filter()
        assert (result.action, result.status) == ("end", 401)
        assert result.headers["www-authenticate"] == "Bearer"
        assert result.headers["content-type"] == "application/json"
        body = result.json()
        assert body == {"status": 401, "error": "UNAUTHORIZED", "message": "unauthorized", "id": body["id"]}
        assert result.headers["x-request-id"] == body["id"]
        assert len([operation for operation in result.operations if operation[0] == 103]) == 1

    def test_http_error_in_a_response_filter_replaces_the_answer(self) -> None:
        with Client(self.plugin(HttpError(502), asynchronous=False, phase="response_filter")) as client:
            result = client.session("h").response_filter()
        assert (result.action, result.status, result.json()["message"]) == ("next", 502, "Bad Gateway")

    def test_http_error_is_a_failure_where_nothing_can_be_answered(self) -> None:
        plugin = self.plugin(HttpError(502), asynchronous=False, phase="response_body_filter")
        with Client(plugin) as client, pytest.raises(PhaseFailed, match="HttpError: 502 Bad Gateway"):
            client.session("h").response_body_filter(b"")

    @pytest.mark.parametrize("asynchronous", [False, True])
    @pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
    def test_everything_else_is_contained_and_logged_with_the_id(
        self, error: BaseException, asynchronous: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Client(self.plugin(error, asynchronous=asynchronous)) as client:
            for _ in range(2):  # the second one works like the first
                with pytest.raises(PhaseFailed) as failed:
                    client.session("h").request_filter()
                assert failed.value.code == "handler_error"
                assert type(error).__name__ in failed.value.text
        records = [record for record in caplog.records if record.levelno == logging.ERROR]
        lines = [record.getMessage() for record in records]
        assert len(lines) == 2
        assert "handler raised entry=h phase=request_filter id=test-" in lines[0]
        for record in records:
            assert record.exc_info is not None
            where = traceback.extract_tb(record.exc_info[2])[-1]
            assert (where.filename, where.name) == (__file__, "sync"), "the log says where"

    def test_a_keyboard_interrupt_reaches_the_caller_and_fails_the_phase(self) -> None:
        with Client(self.plugin(KeyboardInterrupt(), asynchronous=False)) as client, pytest.raises(KeyboardInterrupt):
            client.session("h").request_filter()

    def test_a_constructor_that_raises_fails_the_phase(self) -> None:
        class Handler(PhaseHandler):
            def __init__(self) -> None:
                raise ValueError("no database")

            def request_filter(self, ctx: RequestFilterContext) -> None: ...

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client, pytest.raises(PhaseFailed, match="no database"):
            client.session("h").request_filter()

    def test_an_exception_after_end_still_refuses(self) -> None:
        class Handler(PhaseHandler):
            def request_filter(self, ctx: RequestFilterContext) -> None:
                ctx.next()
                raise ValueError("afterwards")

        plugin = Plugin()
        plugin.handler("h")(Handler)
        with Client(plugin) as client, pytest.raises(PhaseFailed, match="afterwards"):
            client.session("h").request_filter()

    @pytest.mark.parametrize("status", [0, 99, 1000])
    def test_a_status_that_is_none(self, status: int) -> None:
        with pytest.raises(ValueError, match="is no status"):
            HttpError(status)
