"""What `nylon dev` makes of entries, options and a configuration."""

import json
from pathlib import Path

import pytest

from nylon.config import ConfigError, RuntimeFile, compile, load
from nylon.config.snapshot import Server
from nylon.control.dev import DevOptions, made_up, upstream_address, with_plugin
from nylon.control.entries import EntryFound

HELLO, GUARD, WATCH = EntryFound("hello", True), EntryFound("guard", True), EntryFound("watch", False)


def options(tmp_path: Path, *, upstream: str | None = None, group: str | None = None) -> DevOptions:
    return DevOptions("app.py", None, "127.0.0.1:0", upstream, group, tmp_path)


def loaded(tmp_path: Path, made: object) -> RuntimeFile:
    file = tmp_path / "nylon.yaml"
    file.write_text(json.dumps(made))
    return load(file).config


def routes(tmp_path: Path, entries: list[EntryFound], upstream: str | None = None) -> dict[str, object]:
    config = loaded(tmp_path, made_up(entries, options(tmp_path, upstream=upstream)))
    snapshot = json.loads(compile(config, embedded={"app": Server("nats://127.0.0.1:1", "u", "p")}))
    return {
        pattern: [link["entry"] for link in path["chain"]] or path["service"]
        for path in snapshot["routes"][0]["paths"]
        for pattern in path["patterns"]
    }


def test_one_entry_answers_everything(tmp_path: Path) -> None:
    assert routes(tmp_path, [HELLO]) == {"/": "hello", "/{*path}": "hello"}


def test_several_entries_answer_under_their_names(tmp_path: Path) -> None:
    found = routes(tmp_path, [HELLO, GUARD, WATCH])
    assert found == {
        "/hello": "hello",
        "/hello/{*path}": "hello",
        "/guard": "guard",
        "/guard/{*path}": "guard",
    }


def test_with_an_upstream_all_stand_in_front_of_it(tmp_path: Path) -> None:
    chain = ["hello", "watch"]
    assert routes(tmp_path, [HELLO, WATCH], "http://127.0.0.1:9000") == {"/": chain, "/{*path}": chain}


CONFIG = {
    "http": ["127.0.0.1:0"],
    "messaging": [{"name": "m", "servers": ["nats.test"], "auth": {"token": "t"}}],
    "plugins": [{"name": "one", "type": "messaging", "group": "first"}],
}


def test_a_configuration_gets_a_server_and_a_worker(tmp_path: Path) -> None:
    config = with_plugin(loaded(tmp_path, CONFIG), options(tmp_path))
    assert config.messaging[0].embedded
    assert config.messaging[0].auth is None
    assert [(worker.target, worker.group) for worker in config.workers] == [("app.py", "first")]


def test_a_worker_that_is_there_is_left_alone(tmp_path: Path) -> None:
    workers = [{"target": "./app.py:plugin", "group": "first", "processes": 3}]
    config = with_plugin(loaded(tmp_path, {**CONFIG, "workers": workers}), options(tmp_path))
    assert [worker.processes for worker in config.workers] == [3]


def test_several_groups_need_a_choice(tmp_path: Path) -> None:
    plugins = [*CONFIG["plugins"], {"name": "two", "type": "messaging"}]
    config = loaded(tmp_path, {**CONFIG, "plugins": plugins})
    with pytest.raises(ConfigError, match="--group NAME; there is: first, two"):
        with_plugin(config, options(tmp_path))
    assert with_plugin(config, options(tmp_path, group="two")).workers[0].group == "two"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("127.0.0.1:9000/", ("127.0.0.1", 9000)),
        ("http://[::1]:9000", ("::1", 9000)),
        ("http://127.0.0.1", ("127.0.0.1", 80)),
    ],
)
def test_upstreams(url: str, address: tuple[str, int]) -> None:
    assert upstream_address(url) == address


@pytest.mark.parametrize("url", ["https://127.0.0.1:9000", "http://127.0.0.1/path", "http://", "http://a:port"])
def test_upstreams_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="expected an upstream"):
        upstream_address(url)
