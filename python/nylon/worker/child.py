"""One worker process: `python -m nylon.worker.child TARGET [MAX_THREADS]`. Started by the supervisor."""

import logging
import os
import signal
import sys
import threading
from dataclasses import replace

from nylon.control.exit_codes import ExitCode
from nylon.sdk import logs
from nylon.sdk.running import request_id
from nylon.worker.loading import LoadError, load

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

# What the command line says wins over the plugin's code. In the environment, because arguments can be read by everyone.
SERVERS = "NYLON_WORKER_SERVERS"
GROUP = "NYLON_WORKER_GROUP"
LOG_LEVEL = "NYLON_LOG_LEVEL"
LOG_FORMAT = "NYLON_LOG_FORMAT"


def main(arguments: list[str]) -> int:
    """Serves the target until it is told to end."""
    target, *max_threads = arguments
    logs.ensure_as_told(request_id)
    threading.Thread(target=_end_with_parent, name="nylon-parent", daemon=True).start()
    try:
        plugin = load(target)
    except LoadError as error:
        logs.say(logging.ERROR, str(error))
        return ExitCode.CONFIG
    except Exception as error:  # noqa: BLE001 - whatever the plugin's own code raises while it is imported
        cause = f"{type(error).__name__}: {error}"
        logs.say(logging.ERROR, "plugin cannot be loaded", target=target, cause=cause, error=error)
        return ExitCode.CONFIG
    try:
        settings = plugin.settings(os.environ.get(SERVERS), os.environ.get(GROUP))
        if max_threads:
            settings = replace(settings, max_threads=int(max_threads[0]))
        plugin.serving(settings).run()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        logs.say(logging.ERROR, "worker cannot start", target=target, cause=str(error))
        return ExitCode.CONFIG
    return ExitCode.OK


def _end_with_parent() -> None:
    """The supervisor holds the other end of our standard input: when it is gone, however that came, so are we."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
