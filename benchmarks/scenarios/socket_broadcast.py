"""What ten members say in a room goes to a thousand, over two gateways: each message once, in order per sender."""

from __future__ import annotations

from bench.sockets import broadcast

from scenarios.setup import Outcome
from scenarios.sockets import second_gateway, setup

TITLE = "broadcast to 1,000 members over two gateways"
REQUIRED = "each once, in order per sender"
GOOD = "100,000 deliveries/s"
SPEAKERS = 10


def run(upstream: int, quick: bool) -> Outcome:
    members, rounds = (100, 5) if quick else (1000, 50)
    with setup(upstream, "socket-broadcast") as system:
        ports = [system.port, second_gateway(system)]
        heard, lost = broadcast(ports, "/room", members, SPEAKERS, rounds)
    return Outcome(
        f"{heard.rate:,.0f} deliveries/s, {lost} lost, {heard.out_of_order} out of order or twice",
        passed=lost == 0 and heard.out_of_order == 0,
        good=heard.rate >= 100_000,
        raw={"members": members, "rounds": rounds, "lost": lost, **heard.__dict__},
    )
