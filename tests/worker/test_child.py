"""What one worker process serves with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nylon.cli.app import app
from nylon.sdk.serving import Serving
from nylon.worker import child, supervisor

PLUGIN = """
from nylon import PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin("nats://127.0.0.1:1", "group", max_threads=4)


@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None: ...
"""


def test_the_code_says_how_many_threads_unless_the_command_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "limited.py"
    file.write_text(PLUGIN)
    served: list[int] = []

    def run(serving: Serving) -> None:
        served.append(serving.settings.max_threads)

    monkeypatch.setattr(Serving, "run", run)
    monkeypatch.setattr(f"{child.__name__}._end_with_parent", lambda: None)  # standard input is not a supervisor's
    assert child.main([str(file)]) == child.main([str(file), "2"]) == 0
    assert served == [4, 2]


def test_the_command_says_nothing_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def quiet(level: str, form: str) -> None: ...

    def run(target: str, **options: object) -> int:
        told.append(options["max_threads"])
        return 0

    monkeypatch.setattr(supervisor, "run", run)
    monkeypatch.setattr("nylon.cli.worker.start_logging", quiet)  # it is for the whole process
    for arguments in (["worker", "app.py"], ["worker", "app.py", "--max-threads", "2"]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert told == [None, 2]
