"""The work that an optimised build is trained on: real requests through the gateway, to workers, modules and libraries.

`maturin build --pgo` runs this with an instrumented build (`pgo-command` in pyproject.toml). `--seconds` is per way of
a request. Fails if requests are answered otherwise than they should be: a profile of errors would be worse than none.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from multiprocessing import Process, SimpleQueue
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from bench import tools  # noqa: E402 (it is no package that is installed)

CONNECTIONS = 48
PATIENCE_SECONDS = 120.0
BROWSER = "\r\n".join(f"X-Header-{number}: {'value ' * 10}" for number in range(20))
WAYS = {
    "hello": ("GET /hello/world", ""),
    "auth": ("GET /auth/orders", ""),
    "auth_async": ("GET /auth-async/orders", ""),
    "plain": ("GET /plain/orders", ""),
    "filtered": ("GET /filtered/orders", ""),
    "browser": ("GET /auth/orders?page=2", f"{BROWSER}\r\n"),
    "within": ("GET /within/world", ""),
    "within_auth": ("GET /within-auth/orders", ""),
    "library": ("GET /library/orders", ""),
    "plain_library": ("GET /plain-library/orders", ""),
    "upload": ("POST /auth/orders", "Content-Length: 4096\r\n"),
}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: upstream\r\nContent-Length: 9\r\n\r\nupstream\n"


class Upstream(asyncio.Protocol):
    """Answers every request with the same few bytes."""

    def __init__(self) -> None:
        self.got = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        while (end := self.got.find(b"\r\n\r\n")) >= 0:
            length = re.search(rb"(?i)content-length: (\d+)", self.got[:end])
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.got) < whole:
                return
            del self.got[:whole]
            self.transport.write(ANSWER)


def upstream(ports: "SimpleQueue[int]") -> None:
    """Listen on a free port and say which."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def client(port: int, request: bytes, until: float) -> Counter[str]:
    """Send the request again and again over one connection; return how often it was answered with which status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    now = asyncio.get_running_loop().time
    answers: Counter[str] = Counter()
    try:
        while now() < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            answers[head.split(b" ", 2)[1].decode()] += 1
    finally:
        writer.close()
    return answers


async def train(port: int, seconds: float) -> None:
    """Go every way with many connections."""
    for name, (line, headers) in WAYS.items():
        head = f"{line} HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer secret\r\n{headers}\r\n"
        request = head.encode() + bytes(4096 if line.startswith("POST") else 0)
        until = asyncio.get_running_loop().time() + seconds
        answers = sum(await asyncio.gather(*(client(port, request, until) for _ in range(CONNECTIONS))), Counter[str]())
        # On a busy machine a worker may refuse now and then.
        if answers["200"] < 0.9 * answers.total():
            raise RuntimeError(f"{name}: answered with {dict(answers)}")
        print(f"{name}: {answers['200']} requests", flush=True)


async def ready(log: list[str], gateway: "subprocess.Popen[str]") -> int:
    """Wait until the gateway listens and a worker answers; return its port."""
    assert gateway.stderr is not None
    while True:
        line = await asyncio.to_thread(gateway.stderr.readline)
        log.append(line)
        if found := re.search(r"listening listener=http address=\S+:(\d+)", line):
            break
        if not line:
            raise RuntimeError(f"the gateway ended with {gateway.wait()}:\n{''.join(log)}")
    port = int(found[1])
    request = b"GET /hello/world HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        if answer.startswith(b"HTTP/1.1 200 "):
            return port
        await asyncio.sleep(0.1)


async def requests(gateway: "subprocess.Popen[str]", seconds: float) -> None:
    """Wait for the gateway, then go every way."""
    port = await asyncio.wait_for(ready([], gateway), PATIENCE_SECONDS)
    await train(port, seconds)


def run(seconds: float, upstream_port: int) -> None:
    """Start the gateway, train it, and end it so that every process writes its profile."""
    environment = dict(os.environ)
    ours = REPOSITORY / ".venv" / "bin" / "nats-server"
    if ours.exists():
        environment.setdefault("NYLON_NATS_SERVER", str(ours))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nylon.yaml"
        libraries = {"library": tools.go_library(), "plain": tools.go_library_without_mask()}
        values = {"upstream": upstream_port, **libraries}
        text = (HERE / "nylon.yaml").read_text()
        config.write_text(re.sub(r"@([A-Z]+)@", lambda name: str(values[name[1].lower()]), text))
        command = [sys.executable, "-m", "nylon", "run", "-c", str(config)]
        gateway = subprocess.Popen(command, cwd=HERE, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            asyncio.run(requests(gateway, seconds))
        finally:
            gateway.terminate()
            # Its log is read until its end, so that it is never held up by a full pipe.
            tail = gateway.communicate()[1]
        if gateway.returncode != 0:
            raise RuntimeError(f"the gateway ended with {gateway.returncode}:\n{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each way of a request")
    seconds: float = parser.parse_args().seconds
    ports: SimpleQueue[int] = SimpleQueue()
    server = Process(target=upstream, args=(ports,), daemon=True)
    server.start()
    run(seconds, ports.get())
    server.terminate()


if __name__ == "__main__":
    main()
