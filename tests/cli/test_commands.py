"""Commands that need no running gateway: what they print and how they end."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nylon import __version__
from nylon.cli.app import app
from nylon.control.exit_codes import EXPLAINED, ExitCode

GOOD = """
http: [127.0.0.1:0]
messaging: [{name: bus, servers: [a.test]}]
plugins: [{name: auth, type: messaging, entry: [x]}]
services: [{name: s, service_type: http, endpoints: [{ip: 127.0.0.1, port: 1}]}]
routes:
  - name: r
    route: {type: host, value: a.test}
    middleware: [{plugin: auth, entry: e}]
    paths: [{path: /, service: {name: s}}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "nylon.yaml"
    path.write_text(GOOD)
    return path


def nylon(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("spelling", ["version", "--version", "-V"])
def test_version(spelling: str) -> None:
    result = nylon(spelling)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"nylon {__version__} (Python ")


def test_help_names_every_exit_code() -> None:
    text = " ".join(nylon("--help").stdout.split())
    for code, meaning in EXPLAINED.items():
        assert f"{int(code)} {meaning}" in text


@pytest.mark.parametrize("command", [[], ["nonsense"], ["check", "--nonsense"], ["worker"], ["nats"]])
def test_a_wrong_command_line_ends_with_2(command: list[str]) -> None:
    assert nylon(*command).exit_code == ExitCode.USAGE


def test_check_says_what_it_found(file: Path) -> None:
    result = nylon("check", "-c", file)
    assert result.exit_code == 0
    assert result.stdout == "ok: 1 route, 1 service, 1 plugin from 1 file\n"
    assert "warning: " in result.stderr
    assert "plugins[0].entry has no effect" in result.stderr


def test_check_shows_the_snapshot(file: Path) -> None:
    shown = json.loads(nylon("check", "--show", "-c", file).stdout)
    assert shown["routes"][0]["paths"][0]["chain"][0]["entry"] == "e"


def test_check_names_every_problem(file: Path) -> None:
    file.write_text(GOOD.replace("middleware:", "middlewares:").replace("plugin: auth", "plugin: oath"))
    result = nylon("check", "-c", file)
    assert result.exit_code == ExitCode.CONFIG
    assert result.stderr == f"error: {file}:9:5: unknown key 'middlewares' in routes[0]; did you mean 'middleware'?\n"
    assert result.stdout == ""


IN_PROCESS = """
http: [127.0.0.1:0]
plugins:
  - name: auth
    type: python
    module: {module}
services: [{{name: s, service_type: plugin, plugin: {{name: auth, entry: hello}}}}]
"""
PLUGIN = """
from nylon import PhaseHandler, Plugin
print("imported")
plugin = Plugin()
@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx):
        pass
"""


@pytest.mark.parametrize(
    ("module", "code", "problem"),
    [
        ("not_there_at_all", "", "there is no module not_there_at_all"),
        (
            "needs_another",
            "import nothing_of_that_name",
            r"No module named 'nothing_of_that_name' \(.*needs_another.py:1\)",
        ),
        ("has_no_such:guard", PLUGIN, "has_no_such has no 'guard'"),
        ("is_no_plugin:Hello", PLUGIN, "Hello is a type, not a Plugin"),
        ("has_no_entry", "from nylon import Plugin\nplugin = Plugin()", "the plugin has no entry; register one"),
        ("has_another", PLUGIN.replace("hello", "other"), "has_another has no entry 'hello'; it has: other"),
        ("raises", "raise SystemExit('enough')", "SystemExit: enough"),
    ],
)
def test_check_imports_plugins_of_this_process(file: Path, module: str, code: str, problem: str) -> None:
    file.write_text(IN_PROCESS.format(module=module))
    file.with_name(f"{module.partition(':')[0]}.py").write_text(code) if code else None
    result = nylon("check", "-c", file)
    assert result.exit_code == ExitCode.CONFIG
    assert re.search(rf"^error: {file}:6:13: .*{problem}", result.stderr, re.MULTILINE)
    assert result.stdout == ""
    assert nylon("check", "--no-import", "-c", file).exit_code == ExitCode.OK


def test_check_keeps_what_a_module_prints_out_of_its_answer(file: Path) -> None:
    file.write_text(IN_PROCESS.format(module="prints_a_line"))
    file.with_name("prints_a_line.py").write_text(PLUGIN)
    result = nylon("check", "--show", "-c", file)
    assert result.exit_code == ExitCode.OK
    assert "imported" in result.stderr
    assert json.loads(result.stdout)["plugins"][0]["name"] == "auth"


@pytest.mark.parametrize(
    ("code", "said", "usable"),
    [
        (None, "there is no such file", False),
        ("raise SystemExit('enough')", "SystemExit: enough", False),
        ("from nylon import Plugin\nplugin = Plugin()", "has no entry; register one", False),
        (PLUGIN, "no worker here has entry 'e' of plugin 'auth'; they have: hello", True),
        (PLUGIN.replace("hello", "e"), "", True),
    ],
)
def test_check_imports_what_workers_would_run(file: Path, code: str | None, said: str, usable: bool) -> None:
    target = file.with_name("app.py")
    file.write_text(f"{GOOD}workers:\n  - target: {target}\n    group: auth\n")
    target.write_text(code) if code else None
    result = nylon("check", "-c", file)
    assert result.exit_code == (ExitCode.OK if usable else ExitCode.CONFIG)
    kind = "warning" if usable else "error"
    found = re.search(rf"^{kind}: {file}:12:13: (.*)$", result.stderr, re.MULTILINE)
    assert said in found[1] if found else not said, result.stderr
    without = nylon("check", "--no-import", "-c", file)
    assert without.exit_code == ExitCode.OK
    assert f"{file}:12:" not in without.stderr


def test_check_of_a_missing_file(tmp_path: Path) -> None:
    result = nylon("check", "-c", tmp_path / "nothing.yaml")
    assert result.exit_code == ExitCode.CONFIG
    assert "nothing.yaml: cannot read the file: no such file or directory" in result.stderr


def test_schema() -> None:
    assert "http" in json.loads(nylon("schema").stdout)["properties"]
    assert "http" not in json.loads(nylon("schema", "--proxy").stdout)["properties"]


def test_permissions_go_to_stdout(file: Path) -> None:
    result = nylon("nats", "permissions", "-c", file)
    assert result.exit_code == 0
    assert "nylon.v1.open.auth.* auth" in result.stdout


def test_permissions_of_which_server(file: Path) -> None:
    file.write_text(
        GOOD.replace("messaging: [", "messaging: [{name: other, servers: [a.test]}, ").replace(
            "messaging, e", "messaging, messaging: bus, e"
        )
    )
    result = nylon("nats", "permissions", "-c", file)
    assert result.exit_code == ExitCode.USAGE
    assert "--messaging NAME; there is: other, bus" in result.stderr
    assert "worker-auth" not in nylon("nats", "permissions", "-c", file, "--messaging", "other").stdout


def test_dev_without_a_file(tmp_path: Path) -> None:
    result = nylon("dev", tmp_path / "app.py")
    assert result.exit_code == ExitCode.USAGE
    assert "there is no such file" in result.stderr


def test_dev_with_an_upstream_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    result = nylon("dev", tmp_path / "app.py", "--upstream", "https://a.test")
    assert result.exit_code == ExitCode.USAGE
    assert "expected an upstream such as" in result.stderr
