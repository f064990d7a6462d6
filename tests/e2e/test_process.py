"""The life of `nylon run`: exit codes, reload, drain, stop, and what is left behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .support.gateway import Gateway, configuration
from .support.http import Answer, get
from .support.patience import eventually
from .support.process import NYLON, ROOT, Process, children
from .support.upstream import Upstream


def bare(upstream: str, **top: Any) -> dict[str, Any]:
    """A gateway without plugins."""
    config = configuration("nats://127.0.0.1:1", upstream)
    config |= {"messaging": [], "plugins": []}
    config["services"] = config["services"][:1]
    config["routes"][0]["paths"] = config["routes"][0]["paths"][-1:]
    return config | top


def test_an_unusable_configuration_ends_with_3(tmp_path: Path) -> None:
    file = tmp_path / "nylon.yaml"
    file.write_text("htpp: []\nroutes: []\n")
    with Process([*NYLON, "run", "-c", str(file)]) as process:
        assert process.wait() == 3
        process.wait_for(r"at=\S+nylon.yaml:1:1 problem=.*did you mean 'http'")


def test_a_conflict_that_only_the_data_plane_sees_ends_with_3(tmp_path: Path) -> None:
    with Upstream() as upstream:
        config = bare(upstream.address)
    config["routes"][0]["paths"] = [
        {"path": ["/u/{id}", "/u/{name}"], "service": {"name": "upstream"}},
    ]
    gateway = tmp_path / "nylon.yaml"
    gateway.write_text(json.dumps(config))
    for command in ("run", "check"):
        with Process([*NYLON, command, "-c", str(gateway)]) as process:
            assert process.wait() == 3
            process.wait_for(r"nylon.yaml:[1-9]\d*:[1-9]\d*.*/u/\{name\}")


def test_an_address_in_use_ends_with_4_and_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, Upstream() as upstream:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        file = tmp_path / "nylon.yaml"
        file.write_text(json.dumps(bare(upstream.address, http=[address])))
        with Process([*NYLON, "run", "-c", str(file)]) as process:
            assert process.wait() == 4
            process.wait_for(rf"cannot listen .*{address}.*in use")


def test_reload_is_all_or_nothing(tmp_path: Path) -> None:
    with Upstream() as upstream:
        config = bare(upstream.address)
        with Gateway(tmp_path, config) as gateway:
            assert gateway.get("/status/200").status == 200
            config["routes"][0]["paths"] = [{"path": "/only", "service": {"name": "upstream"}}]
            gateway.reload(config)
            assert gateway.get("/status/200").status == 404
            assert gateway.get("/only").status == 200
            config["routes"][0]["middlewares"] = []
            gateway.reload(config)
            gateway.process.wait_for(r"unknown key 'middlewares'")
            gateway.process.wait_for(r"reload refused")
            assert gateway.get("/only").status == 200
            del config["routes"][0]["middlewares"]
            config["routes"][0]["paths"][0]["path"] = ["/u/{id}", "/u/{name}"]
            gateway.reload(config)
            gateway.process.wait_for(r"reload refused.*nylon.yaml:[1-9]\d*:[1-9]\d*: .*/u/\{name\}")
            assert gateway.get("/only").status == 200
            gateway.path.write_text("http: [")
            gateway.reload()
            gateway.process.wait_for(r"not valid YAML")
            assert gateway.get("/only").status == 200


def test_a_reload_moves_listeners(tmp_path: Path) -> None:
    with Upstream() as upstream, socket.create_server(("127.0.0.1", 0)) as taken:
        config = bare(upstream.address)
        with Gateway(tmp_path, config) as gateway:
            refused = f"127.0.0.1:{taken.getsockname()[1]}"
            gateway.reload(config | {"http": [*config["http"], refused]})
            gateway.process.wait_for(rf"reload refused.*{refused}.*in use")
            assert gateway.get("/x").status == 200
            before = len(gateway.process.lines)
            gateway.reload(config | {"http": ["127.0.0.2:0"]})
            moved = gateway.process.wait_for(r"listening listener=http address=(127.0.0.2:\d+)", after=before)[1]
            assert get(moved, "/x").status == 200
            gateway.process.wait_for(f"no longer listening listener=http address={gateway.address}")
            with pytest.raises(ConnectionRefusedError):
                gateway.get("/x")


def in_flight(gateway: Gateway, upstream: Upstream, target: str) -> "tuple[threading.Thread, list[Answer | OSError]]":
    """A request that the upstream has seen and not answered."""
    answers: list[Answer | OSError] = []

    def ask() -> None:
        try:
            answers.append(gateway.get(target))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    eventually(lambda: any(seen.target == target for seen in upstream.seen), what="the request at the upstream")
    return thread, answers


def test_sigterm_lets_requests_end(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, bare(upstream.address)) as gateway:
        thread, answers = in_flight(gateway, upstream, "/slow/1000")
        assert gateway.process.terminate() == 0
        thread.join(10)
        assert isinstance(answers[0], Answer)
        assert answers[0].status == 200
        gateway.process.wait_for("drained")


def test_the_drain_has_a_limit(tmp_path: Path) -> None:
    config = {"drain_timeout": "200ms"}
    with Upstream() as upstream, Gateway(tmp_path, bare(upstream.address, **config)) as gateway:
        in_flight(gateway, upstream, "/slow/20000")
        assert gateway.process.terminate(10) == 0
        gateway.process.wait_for("drain limit reached")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(tmp_path: Path, second: signal.Signals) -> None:
    with Upstream() as upstream, Gateway(tmp_path, bare(upstream.address)) as gateway:
        in_flight(gateway, upstream, "/slow/20000")
        gateway.process.signal(signal.SIGTERM)
        gateway.process.wait_for("draining")
        gateway.process.signal(second)
        assert gateway.process.wait(5) == 128 + second


def test_sigint_stops(tmp_path: Path) -> None:
    with Upstream() as upstream, Gateway(tmp_path, bare(upstream.address)) as gateway:
        in_flight(gateway, upstream, "/slow/20000")
        gateway.process.signal(signal.SIGINT)
        assert gateway.process.wait(5) == 0


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_embedded_nats_is_gone_with_the_gateway(tmp_path: Path, number: signal.Signals) -> None:
    with Upstream() as upstream:
        config = bare(upstream.address, messaging=[{"name": "bus", "embedded": True}])
        with Gateway(tmp_path / "gateway", config) as gateway:
            started = children(gateway.process.pid)
            names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in started]
            assert any(b"nats-server" in name for name in names)
            directories = [name.split(b"\0")[-2].decode() for name in names if b"nats.conf" in name]
            assert directories
            os.kill(gateway.process.pid, number)
            gateway.process.wait()
            eventually(lambda: all(gone(pid) for pid in started), what="nothing of it running")
            eventually(lambda: not any(Path(name).parent.exists() for name in directories), what="its directory gone")


def test_a_gateway_outlives_the_reader_of_its_log(tmp_path: Path) -> None:
    """A log collector that ends, or a full disk, is no reason to stop serving."""
    file = tmp_path / "nylon.yaml"
    with Upstream() as upstream:
        config = bare(upstream.address)
        file.write_text(json.dumps(config))
        command = [*NYLON, "run", "-c", str(file)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                listening = (re.search(r"listening listener=http address=(\S+)", line) for line in process.stderr)
                address = next(found[1] for found in listening if found)
                process.stderr.close()
                config["routes"][0]["paths"] = [{"path": "/only", "service": {"name": "upstream"}}]
                file.write_text(json.dumps(config))
                process.send_signal(signal.SIGHUP)
                eventually(lambda: get(address, "/status/200").status == 404, what="the new configuration")
                assert get(address, "/only").status == 200
                process.terminate()
                assert process.wait(20) == 0
            finally:
                process.kill()


def test_no_huge_pages_are_asked_for_and_none_are_forbidden_to_plugins() -> None:
    script = "import nylon._core\nfor name in ('status', 'smaps'): print(open(f'/proc/self/{name}').read())"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "THP_enabled:\t1" in said
    flags = [line.split() for line in said.splitlines() if line.startswith("VmFlags:")]
    assert flags
    assert not any("hg" in line for line in flags)
