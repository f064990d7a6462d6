"""kill -9 one of three nats-servers under load: the one that most of the gateway's connections are with."""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections import Counter

from bench.load import Background
from bench.processes import Process, free_port

from scenarios.setup import Outcome, Setup, failed, outcomes

TITLE = "kill -9 one of three nats-servers at 5k req/s"
REQUIRED = "only sessions in flight there fail; back ≤ 1 s"
GOOD = "back ≤ 0.3 s"
RATE = 5000


class Clustered(Setup):
    """Ten workers and a gateway on a cluster of three."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream, "kill-nats", workers=10)
        self.ports = [free_port() for _ in range(3)]
        self.monitors = [free_port() for _ in range(3)]
        self.nodes: list[Process] = []

    @property
    def nats_servers(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)

    def start_nats(self) -> None:
        routes = [free_port() for _ in self.ports]
        peers = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
        for number, (port, monitor, route) in enumerate(zip(self.ports, self.monitors, routes, strict=True)):
            cluster = f"cluster {{ name: bench, listen: 127.0.0.1:{route}, routes: [{peers}] }}"
            more = f"server_name: node-{number}\nhttp: 127.0.0.1:{monitor}\n{cluster}"
            self.nodes.append(self.start_nats_server(port, more))
        for port in self.ports:
            self.await_port(port, "nats-server")

    def connections(self, number: int) -> Counter[str]:
        """How many connections of gateways and workers a node has."""
        monitor = http.client.HTTPConnection("127.0.0.1", self.monitors[number], timeout=10)
        try:
            monitor.request("GET", "/connz")
            found = json.loads(monitor.getresponse().read())["connections"]
        finally:
            monitor.close()
        return Counter("gateway" if "gateway" in connection["name"] else "workers" for connection in found)


def run(upstream: int, quick: bool) -> Outcome:
    before, after = (2.0, 4.0) if quick else (5.0, 10.0)
    with Clustered(upstream) as system:
        log = system.folder / "shots.csv"
        with Background(system.port, RATE, before + after, log, connections=1024) as load:
            time.sleep(before)
            clients = [system.connections(number) for number in range(3)]
            number = max(range(3), key=lambda node: (clients[node]["gateway"], clients[node].total()))
            system.nodes[number].kill(signal.SIGKILL)
            killed = time.time()
            total, shots = load.finish()
        metrics = system.counters()
    lost = failed(shots)
    in_flight = [shot for shot in lost if shot.sent < killed]
    last = max((shot.sent - killed for shot in lost), default=0.0)
    return Outcome(
        f"{len(lost)} failed, {len(in_flight)} of them sent before, the last {last * 1e3:.0f} ms after; "
        f"slowest {total.maximum:.0f} ms; {clients[number].total()} connections were lost",
        passed=last <= 1.0 and bool(clients[number]),
        good=last <= 0.3,
        raw={
            "failed": outcomes(lost),
            "clients": [dict(node) for node in clients],
            "killed": number,
            "metrics": metrics,
            "load": total.__dict__,
        },
    )
