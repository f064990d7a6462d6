"""Many workers that come and go under load, more load than they can take, two gateways (rules §3, §4, §7)."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Stage
from .support.crowd import Host, Load
from .support.gateway import Gateway, Worker
from .support.nats import NatsServer
from .support.patience import PATIENCE, eventually
from .support.process import resident_bytes
from .support.upstream import Upstream

BALANCE = ("auto", "queue", "least_loaded")
HOSTS, EACH = 10, 10
# what a gateway may have grown by when a hundred workers have come and gone
GROWTH = 24 << 20


@pytest.fixture(scope="module")
def crowd(shared_nats: NatsServer) -> Iterator[list[Host]]:
    """A hundred workers of the group `crowd` in ten processes."""
    hosts = [Host(shared_nats.url, "crowd", EACH) for _ in range(HOSTS)]
    try:
        for host in hosts:
            assert host.answer()["workers"] == EACH
        yield hosts
    finally:
        for host in hosts:
            host.kill()


def gateway_of(stage: Stage, group: str = "crowd", entry: str = "auth") -> Gateway:
    """A host per balance mode."""
    plugins: list[dict[str, Any]] = [
        {"name": balance, "type": "messaging", "messaging": "bus", "group": group, "balance": balance}
        for balance in BALANCE
    ]
    routes = [
        {
            "name": balance,
            "route": {"type": "host", "value": balance},
            "middleware": [{"plugin": balance, "entry": entry}],
            "paths": [{"path": ["/", "/{*path}"], "service": {"name": "upstream"}}],
        }
        for balance in BALANCE
    ]
    services = [
        {
            "name": "upstream",
            "service_type": "http",
            "endpoints": [{"ip": "127.0.0.1", "port": int(stage.upstream.address.rsplit(":", 1)[1])}],
        }
    ]
    return stage.gateway(top={"plugins": plugins, "routes": routes, "services": services})


def workers(gateway: Gateway) -> float:
    return gateway.metric("nylon_workers", group="crowd")


def nobody_unauthenticated(upstream: Upstream) -> None:
    for seen in list(upstream.seen):
        assert (seen.header("authorization"), seen.header("x-auth-user")) == ("Bearer secret", "alice"), seen


def settled(crowd: list[Host], *gateways: Gateway) -> None:
    """No slot, no request, no session is left, and every gateway counts the workers that are there."""
    for gateway in gateways:
        eventually(gateway.idle, what="no slot left")
    answers = [host.ask("stats") for host in crowd]
    for gateway in gateways:
        there = sum(answer["workers"] for answer in answers)
        eventually(lambda gateway=gateway, there=there: workers(gateway) == there, what=f"nylon_workers {there}")
    eventually(lambda: all(host.ask("stats")["sessions"] == 0 for host in crowd), what="no session left")


def warm(load: Load) -> None:
    """Until there is something to disturb."""
    so_far = len(load.ended)
    eventually(lambda: len(load.ended) > so_far + 100, what="a hundred requests", seconds=20)


def test_workers_leave_two_gateways(stage: Stage, crowd: list[Host]) -> None:
    """Draining is never seen by a client, whichever gateway it came through."""
    gateways = [gateway_of(stage), gateway_of(stage)]
    for gateway in gateways:
        eventually(lambda gateway=gateway: workers(gateway) == HOSTS * EACH, what="all workers")
    targets = [{"Host": balance} for balance in BALANCE]
    with Load([gateway.address for gateway in gateways], 6, targets) as load:
        warm(load)
        for host in crowd[:6]:
            for _ in range(3):
                host.ask("leave")
        warm(load)
        for host in crowd[:6]:
            for _ in range(3):
                host.ask("join")
        warm(load)
    assert load.wrong() == [], load.statuses()
    nobody_unauthenticated(stage.upstream)
    settled(crowd, *gateways)


@pytest.mark.parametrize("balance", BALANCE)
def test_workers_killed_under_load(stage: Stage, crowd: list[Host], shared_nats: NatsServer, balance: str) -> None:
    """Ten workers at once: what was in flight there may fail, nothing else, and nothing a second later."""
    clients = 6
    gateway = gateway_of(stage)
    eventually(lambda: workers(gateway) == HOSTS * EACH, what="all workers")
    with Load([gateway.address], clients, [{"Host": balance}]) as load:
        warm(load)
        before = resident_bytes(gateway.process.pid)
        killed = time.monotonic()
        crowd.pop().kill()
        warm(load)
        eventually(lambda: workers(gateway) == (HOSTS - 1) * EACH, what="ninety workers")
        crowd.append(Host(shared_nats.url, "crowd", EACH))
        assert crowd[-1].answer()["workers"] == EACH
        warm(load)
        eventually(lambda: workers(gateway) == HOSTS * EACH, what="all workers again")
    wrong = load.wrong()
    assert len(wrong) <= clients, load.statuses()
    for one in wrong:
        assert one.began < killed + 0.3 * PATIENCE, f"{one.began - killed:.3f} s after the kill: {one}"
        assert one.code in ("PLUGIN_LOST", "PLUGIN_UNAVAILABLE"), one
    nobody_unauthenticated(stage.upstream)
    settled(crowd, gateway)
    assert resident_bytes(gateway.process.pid) - before < GROWTH


@pytest.mark.parametrize("balance", BALANCE)
def test_overload(stage: Stage, balance: str) -> None:
    """Two threads that take 50 ms for each of many: they keep busy, the others hear at once that they cannot."""
    threads, seconds = 2, 4.0
    capacity = threads / 0.05
    with Worker(stage.nats.url, "crowd", group="few", max_threads=threads):
        gateway = gateway_of(stage, "few", "nap")
        headers = {"Host": balance}
        eventually(lambda: gateway.get("/x", **headers).status == 401, what="the worker")
        with Load([gateway.address], 48, [headers]) as load:
            warm(load)
            begin = time.monotonic()
            eventually(lambda: time.monotonic() > begin + seconds, what="the time of the overload")
            end = time.monotonic()
        during = [one for one in load.ended if one.began >= begin and one.ended <= end]
        decided = [one for one in during if one.status in (200, 401)]
        refused = [one for one in during if one.status == 503]
        assert {one.status for one in load.ended} == {200, 401, 503}, load.statuses()
        assert {one.code for one in load.ended if one.status == 503} == {"PLUGIN_BUSY"}, load.statuses()
        for one in load.ended:
            assert one.status in ((200, 503) if one.good else (401, 503))
            assert one.status != 503 or (one.answer is not None and one.answer.header("retry-after"))
        waits = sorted(one.ended - one.began for one in refused)
        assert waits[int(len(waits) * 0.99)] < 1.0 * PATIENCE
        goodput = len(decided) / (end - begin)
        assert goodput > 0.6 * capacity / PATIENCE, f"{goodput:.0f} of {capacity:.0f} a second, {load.statuses()}"
        nobody_unauthenticated(stage.upstream)
        eventually(gateway.idle, what="no slot left")
        assert gateway.get("/x", Authorization="Bearer secret", **headers).status == 200
