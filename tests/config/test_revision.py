"""Workers go by a hash of their own plugin's configuration."""

import json
from pathlib import Path

from nylon.config import compile, load

_FILE = """
http: [127.0.0.1:8080]
messaging: [{{name: local, servers: ["nats://127.0.0.1:4222"]}}]
plugins:
  - {{name: one, type: messaging, messaging: local, group: one, config: {one}}}
  - {{name: two, type: messaging, messaging: local, group: two, config: {two}}}
"""


def hashes(tmp_path: Path, one: str, two: str) -> list[str]:
    file = tmp_path / "nylon.yaml"
    file.write_text(_FILE.format(one=one, two=two), encoding="utf-8")
    return [plugin["config_hash"] for plugin in json.loads(compile(load(file).config))["plugins"]]


def test_a_change_of_one_plugin_is_none_of_another(tmp_path: Path) -> None:
    first = hashes(tmp_path, "{a: 1, b: 2}", "{a: 1}")
    second = hashes(tmp_path, "{b: 2, a: 1}", "{a: 2}")
    assert first[0] == second[0], "the order of keys means nothing"
    assert first[1] != second[1]
    assert first[0] != first[1]
