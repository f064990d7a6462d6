"""The printed authorization block is one that nats-server accepts, and that binds each side to its part."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nylon.config import load
from nylon.control.nats import nats_server_binary
from nylon.control.permissions import authorization, subject_token, users

CONFIG = """
http: [127.0.0.1:0]
messaging: [{name: bus, servers: [a.test], prefix: edge.nylon}, {name: other, servers: [a.test]}]
plugins:
  - {name: auth, type: messaging, messaging: bus, group: auth_workers}
  - {name: same, type: messaging, messaging: bus, group: auth_workers}
  - {name: "rate limit", type: messaging, messaging: bus}
  - {name: elsewhere, type: messaging, messaging: other}
"""
PASSWORDS = {
    "NYLON_GATEWAY_PASSWORD": "g",
    "NYLON_WORKER_AUTH_WORKERS_PASSWORD": "a",
    "NYLON_WORKER_RATE_LIMIT_PASSWORD": "r",
}
LOGIN = {"gateway": "g", "worker-auth_workers": "a", "worker-rate limit": "r"}


@pytest.fixture
def block(tmp_path: Path) -> str:
    file = tmp_path / "nylon.yaml"
    file.write_text(CONFIG)
    config = load(file).config
    return authorization(config, config.messaging[0])


@pytest.fixture
def server(block: str, tmp_path: Path) -> Iterator[str]:
    config = tmp_path / "nats.conf"
    config.write_text(f'listen: "127.0.0.1:-1"\nports_file_dir: "{tmp_path}"\n{block}')
    environment = {**os.environ, **PASSWORDS}
    binary = nats_server_binary()
    subprocess.run([binary, "-t", "-c", config], env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [binary, "-c", config], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 20
        # nats-server writes the file in place: what ends in its last brace is all of it
        while not (ports := "".join(file.read_text() for file in tmp_path.glob("*.ports"))).rstrip().endswith("}"):
            assert time.monotonic() < end
            time.sleep(0.01)
        yield json.loads(ports)["nats"][0]
        process.terminate()


def refused(server: str, user: str, command: str) -> bool:
    host, port = server.removeprefix("nats://").split(":")
    connect = {"verbose": False, "user": user, "pass": LOGIN[user]}
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        # the server answers in order: what it refuses comes before the PONG
        connection.sendall(f"CONNECT {json.dumps(connect)}\r\n{command}\r\nPING\r\n".encode())
        answer = b""
        while b"PONG" not in answer:
            received = connection.recv(65536)
            assert received, answer
            answer += received
    assert b"Authorization Violation" not in answer
    return b"Permissions Violation" in answer


def publish(subject: str) -> str:
    return f"PUB {subject} 0\r\n"


def subscribe(subject: str, queue: str = "") -> str:
    return f"SUB {subject} {queue} 1"


ALLOWED = [
    ("gateway", publish("edge.nylon.v1.open.auth_workers.auth")),
    ("gateway", publish("edge.nylon.v1.w.auth_workers.w1")),
    ("gateway", subscribe("edge.nylon.v1.h.g1.0.*")),
    ("gateway", subscribe("edge.nylon.v1.beat.>")),
    ("gateway", subscribe("edge.nylon.v1.beat.auth_workers.*")),
    ("worker-auth_workers", subscribe("edge.nylon.v1.open.auth_workers.auth", "auth_workers")),
    ("worker-auth_workers", subscribe("edge.nylon.v1.w.auth_workers.w1")),
    ("worker-auth_workers", subscribe("$SRV.PING")),
    ("worker-auth_workers", publish("edge.nylon.v1.h.g1.0.7")),
    ("worker-auth_workers", publish("edge.nylon.v1.beat.auth_workers.w1")),
    ("worker-rate limit", subscribe("edge.nylon.v1.open.rate=20limit.x", "rate=20limit")),
]
REFUSED = [
    ("gateway", subscribe("edge.nylon.v1.open.auth_workers.auth")),
    ("gateway", publish("edge.nylon.v1.h.g1.0.1")),
    # beside the group, in another group, or another group's part
    ("worker-auth_workers", subscribe("edge.nylon.v1.open.auth_workers.auth")),
    ("worker-auth_workers", subscribe("edge.nylon.v1.open.auth_workers.auth", "spy")),
    ("worker-auth_workers", subscribe("edge.nylon.v1.open.rate=20limit.x", "auth_workers")),
    ("worker-auth_workers", subscribe("edge.nylon.v1.w.rate=20limit.w1")),
    ("worker-auth_workers", publish("edge.nylon.v1.beat.rate=20limit.w1")),
    # other workers' answers, opens of its own
    ("worker-auth_workers", subscribe("edge.nylon.v1.h.>")),
    ("worker-auth_workers", publish("edge.nylon.v1.open.auth_workers.auth")),
    ("worker-auth_workers", publish("anything.else")),
]


@pytest.mark.parametrize(("user", "command"), ALLOWED)
def test_allowed(server: str, user: str, command: str) -> None:
    assert not refused(server, user, command)


@pytest.mark.parametrize(("user", "command"), REFUSED)
def test_refused(server: str, user: str, command: str) -> None:
    assert refused(server, user, command)


def test_groups_of_other_servers_stay_out(block: str) -> None:
    assert "elsewhere" not in block
    assert block.count("worker-auth_workers") == 1


def test_every_user_has_a_password_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "nylon.yaml"
    groups = ["gateway", "a-b", "a.b", "a_b", "A_B", "ü", "ö", 'with "quotes"']
    plugins = [{"name": f"p{number}", "type": "messaging", "group": group} for number, group in enumerate(groups)]
    messaging = [{"name": "bus", "servers": ["a.test"]}]
    file.write_text(json.dumps({"http": ["127.0.0.1:0"], "messaging": messaging, "plugins": plugins}))
    config = load(file).config
    variables = {user.password_variable for user in users(config, config.messaging[0])}
    assert len(variables) == len(groups) + 1
    assert all(re.fullmatch("[A-Z0-9_]+", variable) for variable in variables)
    conf = tmp_path / "nats.conf"
    conf.write_text(authorization(config, config.messaging[0]))
    environment = {**os.environ, **dict.fromkeys(variables, "x")}
    subprocess.run([nats_server_binary(), "-t", "-c", conf], env=environment, check=True, capture_output=True)


def test_subject_tokens() -> None:
    assert subject_token("aZ0_-") == "aZ0_-"
    assert subject_token("a.b é") == "a=2Eb=20=C3=A9"
