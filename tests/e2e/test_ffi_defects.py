"""What is known to go wrong in the original gateway, by its number, and the test that it does not here."""

import struct
import threading
from pathlib import Path

import pytest

from .support.defects import has, ids
from .support.gateway import Gateway, Worker, configuration
from .support.http import Client
from .support.library import Start, build, calm, library_configuration, link
from .support.nats import NatsServer
from .support.patience import eventually
from .support.process import resident_bytes
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
    "A13 failures ignored": "test_ffi_failures.test_what_is_not_understood_in_a_response_filter_goes_by_the_policy",
    "A14 modifiers run again": "test_templates.test_the_request_is_changed_once_and_everybody_sees_it",
    "A15 payloads of services not rendered": "test_templates.test_a_payload_is_rendered_for_each_request",
    "A16 keys and percent-encoding": "test_templates.test_a_payload_is_rendered_for_each_request",
    "A17 ambiguous session": "test_ffi_defects.test_names_with_a_dash_are_not_confused",
    "A18 numbers": "crates/nylon-ffi/src/table/tests.rs::numbers_go_round_without_0_and_without_those_in_use",
    "A19 host and port": "crates/nylon-ffi/src/view/tests.rs::urls_have_the_port_that_their_scheme_does_not_imply",
    "B1 leaks per session": "test_ffi_defects.test_sessions_leave_nothing_behind",
    "B2 sessions kept by the SDK": "sdk/go/internal/ffi/library_test.go::TestAClosedSessionIsForgotten",
    "B3 sessions not closed": "test_ffi_failures.test_a_client_that_leaves_ends_its_session",
    "B4 unbounded queues": "test_ffi_defects.test_a_client_that_reads_slowly_costs_bounded_memory",
    "B5 rooms of broken sockets": "test_ffi_failures.test_a_socket_whose_library_breaks_the_abi_is_closed",
    "W1 broadcasts lost": "test_ffi.test_rooms_reach_every_member_and_nobody_else",
    "W2 rooms deadlock": "test_ffi_defects.test_rooms_survive_joins_and_departures_at_once",
    "W3 framing": "test_websockets.test_what_breaks_the_protocol_closes_the_socket",
    "W4 handshake unchecked": "test_ffi.test_a_request_that_is_no_websocket_gets_400",
    "W5 no error event": "test_ffi_defects.test_a_client_that_drops_its_socket_is_an_error_and_a_close",
    "W6 messages out of order": "sdk/go/internal/ffi/socket_test.go::TestMessagesKeepTheirOrder",
    "W7 pings": "crates/nylon-proxy/src/websocket/tests.rs::a_client_that_does_not_even_answer_pings_is_gone",
    "C1 empty answers": "sdk/go/internal/ffi/library_test.go::TestAnEmptyAnswerIsAnAnswer",
    "C2 reads at once": "sdk/go/internal/ffi/reads_test.go::TestTwoWhoReadAtOnceGetTheirOwn",
    "C3 payloads that end the process": "sdk/go/internal/ffi/library_test.go::TestFlatbuffers",
    "C4 panics": "sdk/go/sdk/context_test.go::TestPanicsAreFailures",
    "C5 a second end": "sdk/go/sdk/context_test.go::TestOnlyTheFirstEndOfAPhaseCounts",
    "C6 case and repeats of headers": "sdk/go/sdk/context_test.go::TestRequest",
    "C8 the name shutdown": "sdk/go/internal/abihost/abihost_test.go::TestShutdownStaysASystemCall",
    "C9 errors of JSON and config": "sdk/go/sdk/plugin_test.go::TestInitializers",
    "C10 no API for it": "sdk/go/sdk/stream_test.go::TestAnUploadIsReadAsItComes",
    "D2 shutdown before the drain": "test_ffi.test_a_drain_ends_what_runs_and_then_shuts_the_library_down_once",
    "D3 reload": "test_ffi.test_a_reload_initializes_again_and_fails_no_request",
    "D4 load failures": "test_ffi_failures.test_a_library_without_a_function_is_refused",
    "D5 unknown entries": "test_ffi_failures.test_an_unknown_entry_is_500",
    "E7 phases that nobody has": "test_ffi.test_a_mask_saves_phases_and_none_that_counts",
    "F logging without values": "test_ffi.test_filters_see_the_real_answer_and_change_it",
}

ABSENT = {
    "A20": "no work stealing that could be off",
    "C7": "what sets a session up is handed nothing that reads or writes",
    "C11": "nothing of a plugin is replaced by an upgrade; Go tests run with -race",
    "D1": "no daemon",
    "D6": "health checks are tasks of their own",
    "W8": "no Redis",
    "W9": "no Redis",
}
"""What cannot happen here, and why. E1 to E10 but E7 are costs: the benchmarks have them."""

COUNTS = {"A": 20, "B": 5, "W": 9, "C": 11, "D": 6}


def test_no_defect_is_left_out() -> None:
    known = {defect.split()[0] for defect in DEFECTS}
    assert known | set(ABSENT) == ids(COUNTS) | {"E7", "F"}
    assert not known & set(ABSENT)


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_has_its_test(defect: str) -> None:
    assert has(DEFECTS[defect])


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
