"""Finding a plugin by module or file."""

from pathlib import Path

import pytest

from nylon.worker.loading import LoadError, directory, load

PLUGIN = "from nylon import Plugin\n{name} = Plugin()\n"


def write(directory: Path, name: str, text: str) -> Path:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_file_with_and_without_a_name(tmp_path: Path) -> None:
    file = write(tmp_path, "one_plugin.py", PLUGIN.format(name="mine"))
    assert load(f"{file}:mine").entries == ()
    assert load(str(file)).entries == ()
    assert directory(str(file)) == tmp_path


def test_a_file_finds_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "neighbour_of_it.py", "VALUE = 1\n")
    file = write(tmp_path, "with_neighbour.py", "from neighbour_of_it import VALUE\n" + PLUGIN.format(name="plugin"))
    load(f"{file}:plugin")


def test_a_module_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "package_here/__init__.py", "")
    write(tmp_path, "package_here/inner.py", PLUGIN.format(name="plugin"))
    monkeypatch.chdir(tmp_path)
    load("package_here.inner:plugin")


@pytest.mark.parametrize(
    ("name", "text", "target", "problem"),
    [
        ("a1.py", "x = 1\n", "a1.py", "has no plugin; make one with"),
        ("a2.py", PLUGIN.format(name="a") + "b = Plugin()\n", "a2.py", "several plugins, say which: a, b"),
        ("a3.py", "x = 1\n", "a3.py:x", "x is a int, not a Plugin"),
        ("a4.py", "x = 1\n", "a4.py:y", "has no 'y'"),
        ("a5.py", "", "nowhere.py", "there is no such file"),
        ("a6.py", "", "no_module_of_that_name", "there is no module no_module_of_that_name"),
        ("a7.py", "", ":plugin", "expected module:plugin or path/to/file.py:plugin"),
    ],
)
def test_what_is_wrong_is_said(
    name: str, text: str, target: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, name, text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoadError, match=problem):
        load(target)


def test_errors_of_the_plugin_itself_are_passed_on(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load(str(write(tmp_path, "broken_import.py", "import no_such_dependency\n")))
    with pytest.raises(ZeroDivisionError):
        load(str(write(tmp_path, "broken_code.py", "1 / 0\n")))
