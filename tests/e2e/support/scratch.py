"""One folder for what all tests of this process share. It goes when the process ends.

It is also where the processes that the tests start put their temporary files: one that is killed leaves them there.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path


@functools.cache
def scratch() -> Path:
    """Return the folder."""
    folder = Path(tempfile.mkdtemp(prefix="nylon-e2e-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
