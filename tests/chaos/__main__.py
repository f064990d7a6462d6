"""`python -m tests.chaos`: CHAOS_SECONDS of it (600), with CHAOS_SEED or a new one."""

import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import nats
import ormsgpack
from nats.aio.msg import Msg
from tests.e2e.support.gateway import Gateway
from tests.e2e.support.http import Client
from tests.e2e.support.nats import NatsServer
from tests.e2e.support.patience import eventually
from tests.e2e.support.process import NYLON, Process, children, resident_bytes
from tests.e2e.support.upstream import Upstream

from .load import Load
from .proxy import Proxy

SERVERS, GATEWAYS, WORKERS, CLIENTS = 3, 2, 3, 8
# what a process may have grown by; a leak of sessions or connections is more in a minute
GROWTH = 64 << 20


def free_ports(count: int) -> list[int]:
    """Ports for the routes of the cluster, which have to be known before the servers start."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def configuration(nats: str, upstream: str) -> dict[str, Any]:
    """A host per kind of plugin; no request reaches the upstream without one that asks for the token."""
    auth = {"plugin": "chaos", "timeout": "3s"}
    chains = {
        "auth": [{**auth, "entry": "auth"}],
        "slow": [{**auth, "entry": "slow_auth"}],
        "swap": [{**auth, "entry": "auth"}, {**auth, "entry": "swap"}],
    }
    host, port = upstream.rsplit(":", 1)
    return {
        "http": ["127.0.0.1:0"],
        "metrics": ["127.0.0.1:0"],
        "threads": 2,
        "messaging": [{"name": "bus", "type": "nats", "servers": [nats], "ping_interval": "1s"}],
        "plugins": [{"name": "chaos", "type": "messaging", "messaging": "bus", "group": "chaos"}],
        "services": [
            {"name": "upstream", "service_type": "http", "endpoints": [{"ip": host, "port": int(port)}]},
        ],
        "routes": [
            {
                "name": name,
                "route": {"type": "host", "value": name},
                "middleware": chain,
                "paths": [{"path": ["/", "/{*path}"], "service": {"name": "upstream"}}],
            }
            for name, chain in chains.items()
        ],
    }


class Chaos:
    """Everything that runs, and the hands that break it."""

    def __init__(self, stack: ExitStack, folder: Path, dice: random.Random) -> None:
        self.dice, self.stopped = dice, set[int]()
        routes = free_ports(SERVERS)
        peers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        self.servers = [
            stack.enter_context(
                NatsServer(
                    folder / f"nats{number}",
                    config=f"server_name: n{number}\ncluster {{ name: c, listen: 127.0.0.1:{port}, "
                    f"no_advertise: true, routes: [{peers}] }}\n",
                )
            )
            for number, port in enumerate(routes)
        ]
        self.upstream = stack.enter_context(Upstream())
        parties = GATEWAYS + WORKERS
        self.proxies = [Proxy(self.servers[number % SERVERS].port) for number in range(parties)]
        plugin = Path(__file__).parent / "plugin.py"
        self.workers = [
            stack.enter_context(
                Process([*NYLON, "worker", f"{plugin}:plugin", "--group", "chaos", "--servers", proxy.url])
            )
            for proxy in self.proxies[GATEWAYS:]
        ]
        self.gateways = [
            stack.enter_context(Gateway(folder / f"gateway{number}", configuration(proxy.url, self.upstream.address)))
            for number, proxy in enumerate(self.proxies[:GATEWAYS])
        ]

    def pids(self) -> list[int]:
        """The processes whose memory counts."""
        return [
            *(gateway.process.pid for gateway in self.gateways),
            *(pid for worker in self.workers for pid in children(worker.pid)),
        ]

    def some_worker(self) -> int | None:
        """A worker process; the supervisors are left alone: they start what was killed again."""
        pids = [pid for worker in self.workers for pid in children(worker.pid) if pid not in self.stopped]
        return self.dice.choice(pids) if pids else None

    def send(self, pid: int | None, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, number)

    def kill_worker(self) -> Callable[[], None]:
        self.send(self.some_worker(), signal.SIGKILL)
        return lambda: None

    def stop_worker(self) -> Callable[[], None]:
        pid = self.some_worker()
        self.send(pid, signal.SIGSTOP)
        self.stopped |= {pid or 0}

        def go_on() -> None:
            self.send(pid, signal.SIGCONT)
            self.stopped.discard(pid or 0)

        return go_on

    def delay(self) -> Callable[[], None]:
        proxy = self.dice.choice(self.proxies)
        proxy.delay = self.dice.choice([0.005, 0.05, 0.3])
        return proxy.heal

    def partition(self) -> Callable[[], None]:
        proxy = self.dice.choice(self.proxies)
        proxy.partition()
        return proxy.heal

    def cut(self) -> Callable[[], None]:
        self.dice.choice(self.proxies).cut()
        return lambda: None

    def restart_nats(self) -> Callable[[], None]:
        server = self.dice.choice(self.servers)
        server.kill()
        return server.start

    def strike(self) -> tuple[str, Callable[[], None]]:
        """Break something; its name, and what mends it."""
        blows = [self.kill_worker, self.stop_worker, self.delay, self.partition, self.cut, self.restart_nats]
        blow = self.dice.choice(blows)
        return blow.__name__, blow()


async def loads(url: str) -> dict[str, int]:
    """What each worker's last beat says of its load."""
    client = await nats.connect(url)
    found: dict[str, int] = {}

    async def beat(message: Msg) -> None:
        frame: list[Any] = ormsgpack.unpackb(message.data)
        found[message.subject] = frame[5]

    await client.subscribe("nylon.v1.beat.chaos.*", cb=beat)
    await asyncio.sleep(0.7)
    await client.close()
    return found


def at_rest(chaos: Chaos, before: dict[int, int]) -> list[str]:
    """What is left on either side when nobody asks any more."""
    left: list[str] = []

    def workers_idle() -> bool:
        found = asyncio.run(loads(chaos.servers[0].url))
        return len(found) >= WORKERS and not any(found.values())

    try:
        for gateway in chaos.gateways:
            eventually(gateway.idle, seconds=20, what="no slot and no request left")
        eventually(workers_idle, seconds=20, what="no session left in any worker")
    except AssertionError as error:
        left.append(str(error))
    for pid in chaos.pids():
        grown = resident_bytes(pid) - before.get(pid, max(before.values()))
        if grown > GROWTH:
            left.append(f"process {pid} has grown by {grown >> 20} MiB")
    return left


def serving(chaos: Chaos) -> None:
    """Every gateway answers again, many times in a row."""
    for gateway in chaos.gateways:
        client = Client(gateway.address)
        for number in range(30):
            headers = {"Host": "auth", "Authorization": "Bearer secret", "X-Id": f"after-{gateway.address}-{number}"}

            def good(client: Client = client, headers: dict[str, str] = headers) -> bool:
                return client.request("GET", "/bytes/10", headers=headers).status == 200

            if number == 0:
                # ids are counted at the upstream: only the warm-up may be asked for more than once
                headers["X-Id"] = ""
                eventually(good, seconds=30, what="a gateway that serves again")
            elif not good():
                raise AssertionError("a gateway that serves again fails a request")


def run(seconds: float, seed: int) -> list[str]:
    """What was broken that must not be."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        chaos = Chaos(stack, folder, dice)
        serving(chaos)
        chaos.upstream.seen.clear()
        before = {pid: resident_bytes(pid) for pid in chaos.pids()}
        load = Load([gateway.address for gateway in chaos.gateways], CLIENTS)
        load.start()
        blows: dict[str, int] = {}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name, mend = chaos.strike()
            blows[name] = blows.get(name, 0) + 1
            time.sleep(dice.uniform(0.2, 2.0))
            mend()
            time.sleep(dice.uniform(0.1, 1.0))
        load.stop()
        load.check_upstream(chaos.upstream)
        load.broken += at_rest(chaos, before)
        try:
            serving(chaos)
        except AssertionError as error:
            load.broken.append(str(error))
        print(f"blows: {blows}")
        print(f"outcomes: {dict(load.outcomes.most_common())}")
        good = sum(load.outcomes[name] for name in ("200", "401"))
        if good * 4 < sum(load.outcomes.values()):
            load.broken.append("hardly anything was served: the run shows nothing")
        return load.broken


def main() -> int:
    """Exit status 0 if every promise was kept."""
    seconds = float(os.environ.get("CHAOS_SECONDS", "600"))
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"chaos for {seconds:.0f} s, CHAOS_SEED={seed}", flush=True)
    broken = run(seconds, seed)
    print("\n".join(broken[:40]))
    print(f"{len(broken)} promises broken (CHAOS_SEED={seed})")
    return min(len(broken), 1)


if __name__ == "__main__":
    sys.exit(main())
