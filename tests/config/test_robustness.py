"""Whatever is written into a configuration, the loader answers with problems, never with a traceback."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nylon.config import ConfigError, Server, compile, load
from nylon.config.document import Document

CASES = Path(__file__).parent / "cases"


def everything() -> dict[str, Any]:
    """The case with every key, as one file."""
    head = CASES.joinpath("everything.case").read_text().split("\n----\n")[0]
    runtime, proxy = head.split("---- conf/proxy.yaml\n")
    whole = {**Document(Path("a"), runtime).value, **Document(Path("b"), proxy).value}
    del whole["config_dir"]
    whole["messaging"][0]["tls"] = {}
    return json.loads(json.dumps(whole))


WHOLE = everything()
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**12),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["*", "5s", "/"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


PLACES = places(WHOLE)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robust") / "nylon.yaml"


def outcome(file: Path, text: str) -> bytes | None:
    file.write_text(text, encoding="utf-8")
    try:
        config = load(file).config
    except ConfigError as error:
        assert error.problems
        assert all(problem.location.file == file for problem in error.problems)
        return None
    servers = {entry.name: Server("nats://127.0.0.1:1", "u", "p") for entry in config.messaging}
    return compile(config, embedded=servers)


def test_the_whole_is_accepted(file: Path) -> None:
    assert outcome(file, json.dumps(WHOLE)) is not None


# derandomized: what CI finds can be found again
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_any_value_anywhere(file: Path, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    changed = copy.deepcopy(WHOLE)
    for path, value in changes:
        target: Any = changed
        try:
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    snapshot = outcome(file, json.dumps(changed, ensure_ascii=False).replace("NaN", '"NaN"').replace("Infinity", '"I"'))
    if snapshot is not None:
        assert json.loads(snapshot)["process"]["listen"] is not None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text(file: Path, text: str) -> None:
    outcome(file, text)


def test_bottomless_nesting(file: Path) -> None:
    for text in ("http: " + "[" * 5000, "http: " + "[" * 3000 + "]" * 3000):
        assert outcome(file, text) is None


def test_a_link_that_cannot_be_followed_is_a_problem(tmp_path: Path) -> None:
    directory = tmp_path / "conf"
    directory.mkdir()
    (directory / "link").symlink_to("x" * 300)
    (tmp_path / "nylon.yaml").write_text(f"http: [127.0.0.1:0]\nconfig_dir: {directory}\n")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "nylon.yaml")
    (problem,) = raised.value.problems
    assert f"cannot look at {directory / 'link'}: file name too long" in str(problem)
    # the directory itself
    (tmp_path / "nylon.yaml").write_text(f"http: [127.0.0.1:0]\nconfig_dir: {directory / 'link'}\n")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "nylon.yaml")
    (problem,) = raised.value.problems
    assert "cannot look at" in str(problem)
