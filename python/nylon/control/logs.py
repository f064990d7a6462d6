"""Log lines of the Python half: one event and its values per line, on stderr, in the form of the Rust half."""

import contextlib
import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

Format = Literal["text", "json"]
"""`text` for people, `json` for machines."""

Level = Literal["debug", "info", "warn", "error"]
"""The lowest level that is written."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


class _Stderr:
    """Standard error, whose reader may be gone or whose disk full: the gateway outlives its log."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, AttributeError):  # it is None where the process has none
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            sys.stderr.flush()


def configure(level: Level, form: Format) -> None:
    """Set up structlog for this process. Normal operation writes next to nothing."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _as_json if form == "json" else _as_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Stderr())),
        cache_logger_on_first_use=False,
    )


def _as_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    timestamp, level, text = event.pop("timestamp"), event.pop("level"), event.pop("event")
    level = {"warning": "WARN"}.get(level, level.upper())
    values = "".join(f" {key}={_value(value)}" for key, value in event.items())
    return f"{timestamp} {level:>5} nylon: {text}{values}"


def _value(value: object) -> str:
    text = str(value)
    # quoted where a space or a quote would make it look like two
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\n') else text


def _as_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    event["level"] = {"warning": "WARN"}.get(event["level"], event["level"].upper())
    head = {"timestamp": event.pop("timestamp"), "level": event.pop("level"), "message": event.pop("event")}
    return json.dumps({**head, "target": "nylon", **event}, ensure_ascii=False, default=str)
