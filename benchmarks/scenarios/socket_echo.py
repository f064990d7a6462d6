"""WebSocket echo over NATS against a Python server that is all there is, by turns."""

from __future__ import annotations

from statistics import median

from bench.sockets import Heard, echo

from scenarios.setup import Outcome
from scenarios.sockets import EchoServer, setup

TITLE = "WebSocket echo over NATS, 64 connections ÷ `websockets` echo server"
REQUIRED = "≥ 40 %, in order"
GOOD = "60 %"
CONNECTIONS, WINDOW = 64, 4


def run(upstream: int, quick: bool) -> Outcome:
    seconds, rounds = (1, 1) if quick else (5, 5)
    ours: list[Heard] = []
    theirs: list[Heard] = []
    with setup(upstream, "socket-echo") as system, EchoServer(upstream) as peer:
        for _ in range(rounds):
            ours.append(echo(system.port, "/echo", CONNECTIONS, WINDOW, seconds))
            theirs.append(echo(peer.port, "/", CONNECTIONS, WINDOW, seconds))
    mine, other = median(one.rate for one in ours), median(one.rate for one in theirs)
    wrong = sum(one.out_of_order for one in ours)
    client = max(one.client_cpu for one in theirs)
    return Outcome(
        f"{mine / other:.0%} ({mine:,.0f} ÷ {other:,.0f} msg/s), {wrong} out of order; client {client:.0%} of a core",
        passed=mine >= 0.4 * other and wrong == 0,
        good=mine >= 0.6 * other,
        raw={"ours": [one.__dict__ for one in ours], "theirs": [one.__dict__ for one in theirs]},
    )
