"""Log lines: one event and its values per line, in the form of the gateway's, with the request's id."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

from nylon._core import init_logging

Format = Literal["text", "json"]
"""`text` for people, `json` for machines."""

log = logging.getLogger("nylon.worker")


class Line:
    """An event with its values; as text `event key=value …`, so that any logging set-up shows all of it."""

    def __init__(self, event: str, values: dict[str, object]) -> None:
        self.event = event
        self.values = values

    def __str__(self) -> str:
        return self.event + "".join(f" {key}={_value(value)}" for key, value in self.values.items())


def say(level: int, event: str, /, *, error: BaseException | None = None, **values: object) -> None:
    """Writes an event to the log `nylon.worker`."""
    if log.isEnabledFor(level):
        log.log(level, "%s", Line(event, values), exc_info=error)


def _value(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\n') else text


class LineFormatter(logging.Formatter):
    """The gateway's form. `request_id` tells which request a line of user code belongs to."""

    def __init__(self, form: Format, request_id: Callable[[], str | None]) -> None:
        super().__init__()
        self._form = form
        self._request_id = request_id

    def format(self, record: logging.LogRecord) -> str:
        """One line, as text with a traceback below it if there is one."""
        line = record.args[0] if isinstance(record.args, tuple) and record.args else None
        event, values = (line.event, dict(line.values)) if isinstance(line, Line) else (record.getMessage(), {})
        identifier = self._request_id()
        if identifier is not None:
            values.setdefault("id", identifier)
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}000Z"
        level = {"WARNING": "WARN", "CRITICAL": "ERROR"}.get(record.levelname, record.levelname)
        trace = self.formatException(record.exc_info) if record.exc_info else None
        if self._form == "json":
            fields: dict[str, Any] = {
                "timestamp": when,
                "level": level,
                "message": event,
                "target": record.name,
                **values,
            }
            if trace is not None:
                fields["exception"] = trace
            return json.dumps(fields, ensure_ascii=False, default=str)
        text = f"{when} {level:>5} {record.name}: {Line(event, values)}"
        return text if trace is None else f"{text}\n{trace}"


def ensure(
    request_id: Callable[[], str | None],
    *,
    level: int = logging.INFO,
    form: Format = "text",
    stream: TextIO | None = None,
) -> None:
    """Sends log lines to stderr, unless the program has set up logging itself."""
    root = logging.getLogger()
    levels: dict[int, Literal["debug", "info", "warn", "error"]] = {10: "debug", 20: "info", 30: "warn", 40: "error"}
    init_logging(levels.get(level, "info"), form)
    if root.handlers:
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(form, request_id))
    root.addHandler(handler)
    root.setLevel(level)


def ensure_as_told(request_id: Callable[[], str | None]) -> None:
    """As `ensure`, by NYLON_LOG_LEVEL and NYLON_LOG_FORMAT: what a command was told, its processes are."""
    level = logging.getLevelNamesMapping().get(os.environ.get("NYLON_LOG_LEVEL", "").upper(), logging.INFO)
    ensure(request_id, level=level, form="json" if os.environ.get("NYLON_LOG_FORMAT") == "json" else "text")
