"""Log lines of the Python half: the same form as those of the Rust half."""

import json
import re

import pytest
import structlog

from nylon.control import logs


def line(capsys: pytest.CaptureFixture[str], form: logs.Format) -> str:
    logs.configure("info", form)
    log = structlog.stdlib.get_logger()
    log.debug("not written")
    log.warning("listening", listener="http", reason='a "b" c', empty="")
    return capsys.readouterr().err


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z  WARN nylon: listening listener=http reason="a \\"b\\" c" empty=""\n',
        line(capsys, "text"),
    )


def test_json_has_the_keys_of_the_rust_half(capsys: pytest.CaptureFixture[str]) -> None:
    written = json.loads(line(capsys, "json"))
    assert list(written)[:4] == ["timestamp", "level", "message", "target"]
    assert written["level"] == "WARN"
    assert written["reason"] == 'a "b" c'
