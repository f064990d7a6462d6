"""Telling when source files change, for development."""

import importlib.util
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from nylon.sdk import logs


class Watch:
    """Calls back whenever Python files below a directory have changed."""

    def __init__(self, directory: Path, changed: Callable[[int], None]) -> None:
        self._directory = directory
        self._changed = changed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nylon-watch", daemon=True)

    def start(self) -> bool:
        """Begins to watch; false, with a line in the log, where the library for it is missing."""
        if importlib.util.find_spec("watchfiles") is None:  # needed for development only
            logs.say(logging.ERROR, "--reload needs the package watchfiles: pip install 'nylon[dev]'")
            return False
        self._thread.start()
        return True

    def stop(self) -> None:
        """Ends it."""
        self._stop.set()
        self._thread.join(2)

    def _run(self) -> None:
        from watchfiles import PythonFilter, watch

        for changes in watch(self._directory, watch_filter=PythonFilter(), stop_event=self._stop):
            self._changed(len(changes))
