"""Libraries for the training: one with the functions that only Nylon knows, one as the original SDK builds it."""

import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "benchmarks" / "auth" / "go"
OURS = (b"nylon_session_phases", b"nylon_run_phase")


def build(folder: Path) -> dict[str, Path]:
    """Build them into `folder`; return them by name. RuntimeError without Go or a C compiler."""
    if not (shutil.which("go") and shutil.which("cc")):
        raise RuntimeError("building the library of the training: go and a C compiler are needed")
    library = folder / "library.so"
    command = ["go", "build", "-C", str(SOURCES), "-buildmode=c-shared", "-trimpath", "-o", str(library), "."]
    subprocess.run(command, check=True, env={**os.environ, "CGO_ENABLED": "1"})
    code = library.read_bytes()
    for name in OURS:
        if name + b"\0" not in code:
            raise RuntimeError(f"taking {name.decode()} out of the library: it is not there")
        code = code.replace(name + b"\0", name[:-1] + b"_\0")
    plain = folder / "plain.so"
    plain.write_bytes(code)
    return {"library": library, "plain": plain}
