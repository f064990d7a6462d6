"""What is known to go wrong in the original gateway, by its number, and the test that it does not here."""

import ast
import struct
import threading
from pathlib import Path

import pytest

from .support.gateway import Gateway, Worker, configuration
from .support.http import Client
from .support.library import Start, build, calm, library_configuration, link
from .support.nats import NatsServer
from .support.patience import eventually
from .support.process import ROOT, resident_bytes
from .support.upstream import Upstream
from .support.websocket import WebSocketClient

DEFECTS = {
    "A1 skipped under contention": "test_ffi.test_an_auth_plugin_lets_nobody_pass_without_the_token",
    "A2 status overwritten": "test_ffi.test_an_answer_that_no_plugin_changes_stays_as_it_is",
    "A3 frame length ends the process": "test_ffi_defects.test_a_frame_of_any_length_ends_its_own_socket_only",
    "A4 absent header never answered": "test_ffi.test_a_library_answers_and_can_read_everything",
    "A5 no time limit": "test_ffi_failures.test_a_filter_that_does_not_answer_is_504_and_nothing_passes",
    "A6 long request bodies lost": "test_ffi.test_the_upstream_gets_all_of_a_body_that_a_library_has_read",
    "A7 bodies in pieces corrupted": "test_ffi.test_filters_see_the_real_answer_and_change_it",
    "A8 streams of middleware race": "test_ffi.test_a_middleware_streams",
    "A9 stale messages": "test_ffi_failures.test_a_second_answer_counts_nothing",
    "A10 no framing": "test_ffi.test_a_library_answers_and_can_read_everything",
    "A11 set appends": "test_ffi.test_filters_see_the_real_answer_and_change_it",
    "A12 service says next": "test_ffi_failures.test_a_service_that_says_next_has_no_answer",
    "A13 failures ignored": ("test_ffi_failures.test_what_is_not_understood_in_a_response_filter_goes_by_the_policy"),
    "A17 ambiguous session": "test_ffi_defects.test_names_with_a_dash_are_not_confused",
    "B1 leaks per session": "test_ffi_defects.test_sessions_leave_nothing_behind",
    "B3 sessions not closed": "test_ffi_failures.test_a_client_that_leaves_ends_its_session",
    "B4 unbounded queues": "test_ffi_defects.test_a_client_that_reads_slowly_costs_bounded_memory",
    "B5 rooms of broken sockets": "test_ffi_failures.test_a_socket_whose_library_breaks_the_abi_is_closed",
    "W1 broadcasts lost": "test_ffi.test_rooms_reach_every_member_and_nobody_else",
    "W2 rooms deadlock": "test_ffi_defects.test_rooms_survive_joins_and_departures_at_once",
    "W4 handshake unchecked": "test_ffi.test_a_request_that_is_no_websocket_gets_400",
    "W5 no error event": "test_ffi_defects.test_a_client_that_drops_its_socket_is_an_error_and_a_close",
    "D2 shutdown before the drain": "test_ffi.test_a_drain_ends_what_runs_and_then_shuts_the_library_down_once",
    "D3 reload": "test_ffi.test_a_reload_initializes_again_and_fails_no_request",
    "D4 load failures": "test_ffi_failures.test_a_library_without_a_function_is_refused",
    "D5 unknown entries": "test_ffi_failures.test_an_unknown_entry_is_500",
    "F logging without values": "test_ffi.test_filters_see_the_real_answer_and_change_it",
}
"""A18 (numbers) and A19 (hosts) are unit tests of nylon-ffi; A14 to A16 are the configuration's, W3 and W7 those of
every WebSocket. A20, D1, D6, W8 and W9 are about things that are not there: work stealing, daemons, Redis."""


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_has_its_test(defect: str) -> None:
    file, name = DEFECTS[defect].split(".")
    tree = ast.parse((ROOT / f"tests/e2e/{file}.py").read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_frame_of_any_length_ends_its_own_socket_only(start: Start) -> None:
    gateway = start(service="socket")
    with WebSocketClient(gateway.address, "/plugin") as other:
        assert other.receive() == "hello"
        for length in (1 << 63, (1 << 64) - 1, (1 << 63) - 1):
            with WebSocketClient(gateway.address, "/plugin") as client:
                assert client.receive() == "hello"
                client.raw(bytes([0x82, 0xFF]) + struct.pack(">Q", length) + bytes(4))
                assert client.closed()[0] in (1002, 1009)
        # The others have said goodbye to the room.
        other.send("alive")
        assert [other.receive() for _ in range(4)].count("alive") == 1


def test_names_with_a_dash_are_not_confused(start: Start) -> None:
    chain = [{"plugin": "a-b", "entry": "c"}, {"plugin": "a", "entry": "b-c"}]
    gateway = start(plugins=[{"name": "a-b"}, {"name": "a"}], chain=chain)
    assert gateway.get("/").status == 200
    gateway.process.wait_for("library: b-c: registered")
    assert gateway.metric("nylon_plugin_phases_total", entry="a-b/c") == 4
    assert gateway.metric("nylon_plugin_phases_total", entry="a/b-c") == 4


def test_sessions_leave_nothing_behind(start: Start) -> None:
    gateway = start(chain=[link("phases")])

    def requests() -> None:
        client = Client(gateway.address)
        for _ in range(500):
            assert client.get("/bytes/10").status == 200
        client.close()

    requests()
    eventually(lambda: calm(gateway), what="no session is left")
    before = resident_bytes(gateway.process.pid)
    for _ in range(4):
        requests()
    eventually(lambda: calm(gateway), what="no session is left")
    # The library itself keeps some hundred bytes a session, as the original's SDK does.
    assert resident_bytes(gateway.process.pid) - before < 8 << 20


def test_a_client_that_reads_slowly_costs_bounded_memory(start: Start) -> None:
    gateway = start(service="big_stream")
    before = resident_bytes(gateway.process.pid)
    with WebSocketClient(gateway.address, "/plugin", receive=4096) as client:
        assert client.status == 200
        # 100 MiB are on their way, and nobody reads them.
        gateway.process.wait_for("bytes wait for a client that does not take them", seconds=60)
        assert resident_bytes(gateway.process.pid) - before < 64 << 20
    eventually(lambda: calm(gateway), what="no session is left")


def test_rooms_survive_joins_and_departures_at_once(start: Start) -> None:
    gateway = start(service="socket")

    def come_and_go() -> None:
        for _ in range(15):
            with WebSocketClient(gateway.address, "/plugin") as client:
                client.send("all:x")
                client.drop()

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with WebSocketClient(gateway.address, "/plugin") as client:
        client.send("all:last")
        while client.receive() != "last":
            pass
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_client_that_drops_its_socket_is_an_error_and_a_close(start: Start) -> None:
    gateway = start(service="socket")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.drop()
    gateway.process.wait_for("socket: socket failed")
    gateway.process.wait_for("socket: socket closed")


def test_a_plugin_moves_from_a_library_to_nats_and_back(
    tmp_path: Path, shared_nats: NatsServer, upstream: Upstream
) -> None:
    chain = [{"plugin": "tested", "entry": "auth"}]
    on_nats = configuration(shared_nats.url, upstream.address, chain=chain)
    in_library = library_configuration(upstream.address, build(), chain=chain)
    stop, wrong = threading.Event(), list[tuple[str, int, bytes]]()
    served = {"Bearer secret": 0, "Bearer guess": 0}

    def requests(token: str, expected: int) -> None:
        client = Client(gateway.address)
        while not stop.is_set():
            answer = client.get("/", Authorization=token)
            served[token] += 1
            if answer.status != expected:
                wrong.append((token, answer.status, answer.body))
        client.close()

    with Worker(shared_nats.url), Gateway(tmp_path / "gateway", on_nats) as gateway:
        threads = [
            threading.Thread(target=requests, args=arguments)
            for arguments in (("Bearer secret", 200), ("Bearer guess", 401))
        ]
        for thread in threads:
            thread.start()
        for config in (in_library, on_nats, in_library, on_nats):
            gateway.reload(config)
            before = dict(served)
            eventually(
                lambda before=before: all(served[token] > before[token] + 50 for token in served), what="requests"
            )
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
