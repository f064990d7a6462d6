"""What a plugin in a file has, or why it has nothing."""

from pathlib import Path

import pytest

from nylon.control.entries import EntriesError, find_entries


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1", r"has no plugin; make one with `plugin = Plugin\(\)`"),
        ("def (", r"SyntaxError: invalid syntax \(app.py, line 1\)"),
        ("import nothing_of_that_name", r"No module named 'nothing_of_that_name' \(.*app.py:1\)"),
        ("print('said')\n1 / 0", r"ZeroDivisionError: division by zero \(.*app.py:2\)"),
        ("raise SystemExit('enough')", r"SystemExit: enough \(.*app.py:1\)"),
    ],
)
def test_a_file_without_a_plugin_is_explained_in_one_line(tmp_path: Path, code: str, reason: str) -> None:
    app = tmp_path / "app.py"
    app.write_text(code)
    with pytest.raises(EntriesError, match=f"^loading '.*app.py': .*{reason}$"):
        find_entries(str(app))


def test_an_import_that_ends_the_process_is_explained(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("import os\nos._exit(7)")
    with pytest.raises(EntriesError, match="its import ended the process with exit code 7"):
        find_entries(str(app))
