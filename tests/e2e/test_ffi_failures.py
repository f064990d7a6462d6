"""Libraries that misbehave: no request hangs, passes a filter that did not answer, or gets a broken answer."""

import http.client
import json
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from .support.gateway import Gateway
from .support.http import request
from .support.library import Start, build, calm, library_configuration, link
from .support.patience import eventually
from .support.process import NYLON, Process
from .support.upstream import Upstream
from .support.websocket import WebSocketClient

BROKEN = [
    "unknown_method",
    "zero_method",
    "event_method",
    "rubbish_header",
    "empty_header",
    "bad_name",
    "bad_value",
    "bad_removal",
    "short_status",
    "low_status",
    "high_status",
    "data_without_head",
    "end_without_head",
    "send_without_socket",
    "join_without_socket",
    "broadcast_without_socket",
    "null_payload",
    "huge_payload",
    "flood",
]
"""Entries that break the ABI and then say next."""


def paths(entries: list[str], **keys: Any) -> list[dict[str, Any]]:
    """A path to the upstream for each entry, behind it."""
    return [
        {"path": f"/{entry.replace(':', '-')}", "service": {"name": "upstream"}, "middleware": [link(entry, **keys)]}
        for entry in entries
    ]


def code(answer: Any) -> tuple[int, str]:
    return answer.status, answer.json["error"]


def test_what_is_not_understood_in_a_request_filter_is_502(start: Start, upstream: Upstream) -> None:
    gateway = start(paths=paths(BROKEN))
    for entry in BROKEN:
        answer = gateway.get(f"/{entry}")
        assert code(answer) == (502, "PLUGIN_PROTOCOL"), entry
        assert answer.header("x-injected") is None
    assert upstream.seen == [], "no request passed"
    eventually(lambda: calm(gateway), what="no session is left")
    assert gateway.metric("nylon_ffi_complaints_total") > 0


def test_what_is_not_understood_in_a_response_filter_goes_by_the_policy(start: Start) -> None:
    entries = [f"response:{entry}" for entry in (*BROKEN, "stream", "upgrade")]
    lenient = start(paths=paths(entries, on_error="continue"))
    strict = start(paths=paths(entries, on_error="fail"))
    # The body filter of a session that has failed cannot run, and fails closed: a library cannot say that it has none.
    default = start(paths=paths(entries))
    for entry in entries:
        target = f"/{entry.replace(':', '-')}"
        assert lenient.get(target).status == 200, entry
        assert code(strict.get(target)) == (502, "PLUGIN_PROTOCOL"), entry
        assert code(default.get(target)) == (502, "PLUGIN_PROTOCOL"), entry


def test_what_is_not_understood_in_a_body_filter_is_502(start: Start) -> None:
    entries = [f"body:{entry}" for entry in ("unknown_method", "rubbish_header", "stream", "upgrade", "flood")]
    gateway = start(paths=paths(entries))
    for entry in entries:
        assert code(gateway.get(f"/{entry.replace(':', '-')}")) == (502, "PLUGIN_PROTOCOL"), entry


def test_an_upstream_that_breaks_off_is_not_the_librarys_failure(start: Start) -> None:
    for policy in ("fail", "continue"):
        gateway = start(chain=[link("filter", on_error=policy), link("phases")])
        assert code(gateway.get("/cut/100")) == (502, "UPSTREAM_ERROR"), policy
        gateway.process.wait_for("logged path=/cut/100 status=502 bytes=[0-9]+ replaced=0 error=UPSTREAM_ERROR")
        assert gateway.metric("nylon_plugin_failures_total", kind="upstream_broken") == 1
        assert gateway.metric("nylon_plugin_failures_total") == 1
        eventually(lambda gateway=gateway: calm(gateway), what="no session is left")


def test_a_slow_upstream_is_not_the_librarys_failure(start: Start) -> None:
    gateway = start(chain=[link("filter", timeout="300ms")])
    answer = gateway.get("/late/1000")
    assert (answer.status, answer.body) == (200, b"late+4")
    assert gateway.metric("nylon_plugin_failures_total") == 0


def test_an_end_in_a_later_phase_ends_that_phase_only(start: Start, upstream: Upstream) -> None:
    """As in the original; a stray end of a phase before must not fail the one that follows."""
    gateway = start(paths=paths(["response:end", "body:end"], on_error="fail"))
    for target in ("/response-end", "/body-end"):
        assert gateway.get(target).status == 200, target
    assert [seen.target for seen in upstream.seen] == ["/response-end", "/body-end"]


def test_what_goes_wrong_in_the_logging_phase_costs_nobody_anything(start: Start) -> None:
    entries = [f"logging:{entry}" for entry in (*BROKEN, "never", "twice", "end", "stream", "upgrade")]
    gateway = start(paths=paths(entries, timeout="300ms"))
    for entry in entries:
        assert gateway.get(f"/{entry.replace(':', '-')}").status == 200, entry
    eventually(lambda: calm(gateway), what="no session is left, also of those that never end")


@pytest.mark.parametrize("entry", ["never", "wrong_sid", "early", "hang_register", "hang_event"])
def test_a_filter_that_does_not_answer_is_504_and_nothing_passes(start: Start, upstream: Upstream, entry: str) -> None:
    gateway = start(paths=[*paths([entry], timeout="200ms"), *paths(["phases"])])
    if entry == "early":
        # It says next before it is asked, which counts nothing, and again when it is.
        assert gateway.get("/early").status == 200
        return
    for _ in range(3):
        began = time.monotonic()
        assert code(gateway.get(f"/{entry}")) == (504, "PLUGIN_TIMEOUT")
        assert time.monotonic() - began < 5
    assert upstream.seen == []
    # Whatever hangs, the other entries of the library go on.
    assert gateway.get("/phases").status == 200
    gateway.process.wait_for("over its deadline")


@pytest.mark.parametrize("phase", ["response", "body"])
def test_a_later_phase_that_does_not_answer_goes_by_the_policy(start: Start, phase: str) -> None:
    gateway = start(paths=paths([f"{phase}:never"], timeout="200ms"))
    assert code(gateway.get(f"/{phase}-never")) == (502, "PLUGIN_TIMEOUT")
    lenient = start(paths=paths([f"{phase}:never"], timeout="200ms", on_error="continue"))
    assert lenient.get(f"/{phase}-never").json["target"] == f"/{phase}-never"
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_library_cannot_speak_for_the_session_of_another(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """The same code under another name is another library: it says next for all numbers around its own."""
    other = tmp_path / "other.so"
    shutil.copy(build(), other)
    gateway = start(
        plugins=[{"name": "other", "file": str(other)}],
        paths=[
            *paths(["never"], timeout="5s"),
            {
                "path": "/other",
                "service": {"name": "upstream"},
                "middleware": [{"plugin": "other", "entry": "wrong_sid", "timeout": "200ms"}],
            },
        ],
    )
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(gateway.get("/never")))
    waiting.start()
    eventually(lambda: gateway.metric("nylon_ffi_sessions", plugin="tested") == 1, what="the session")
    for _ in range(3):
        assert gateway.get("/other").status == 504
    waiting.join()
    assert code(answers[0]) == (504, "PLUGIN_TIMEOUT")
    assert gateway.metric("nylon_ffi_stray_calls_total") >= 48
    assert upstream.seen == []


def test_a_second_answer_counts_nothing(start: Start, upstream: Upstream) -> None:
    gateway = start(paths=[*paths(["twice", "stray"]), *paths(["response:twice", "body:twice"])])
    for entry in ("twice", "stray", "response-twice", "body-twice"):
        for _ in range(20):
            answer = gateway.get(f"/{entry}")
            assert answer.status == 200, entry
            assert answer.json["target"] == f"/{entry}"
    eventually(lambda: calm(gateway), what="no session is left")


@pytest.mark.parametrize("defines", [[], ["ORIGINAL"]])
def test_a_handler_that_comes_back_late_is_let_go_and_changes_nothing(
    start: Start, upstream: Upstream, defines: list[str]
) -> None:
    gateway = start(*defines, paths=paths(["back_late"], timeout="200ms"))
    assert code(gateway.get("/back_late")) == (504, "PLUGIN_TIMEOUT")
    gateway.process.wait_for("back_late: came back")
    # One that takes more than the ABI has heard the close, behind which the gateway knows nothing of the session.
    unknown = 0 if defines else 3
    eventually(lambda: gateway.metric("nylon_ffi_stray_calls_total") == unknown, what="its calls")
    assert upstream.seen == []
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_client_that_leaves_ends_its_session(start: Start) -> None:
    gateway = start(paths=paths(["never"], timeout="60s"))
    host, _, port = gateway.address.rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: gateway.metric("nylon_ffi_sessions") == 1, what="the session")
    eventually(lambda: gateway.metric("nylon_requests_in_flight") == 0, what="the request is over")


def test_an_unknown_entry_is_500(start: Start, upstream: Upstream) -> None:
    gateway = start(paths=paths(["refused"]))
    assert code(gateway.get("/refused")) == (500, "PLUGIN_ERROR")
    assert upstream.seen == []
    gateway.process.wait_for("no entry .*refused")


def test_a_service_that_says_next_has_no_answer(start: Start) -> None:
    gateway = start(service="phases")
    assert code(gateway.get("/plugin")) == (502, "PLUGIN_PROTOCOL")


@pytest.mark.parametrize("entry", ["half_stream", "broken_stream"])
def test_a_stream_that_is_not_ended_is_never_taken_for_a_whole_one(start: Start, entry: str) -> None:
    gateway = start(service=entry)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        gateway.get("/plugin")
    eventually(lambda: calm(gateway), what="no session is left")


@pytest.mark.parametrize("message", ["rude", "wrong"])
def test_a_socket_whose_library_breaks_the_abi_is_closed(start: Start, message: str) -> None:
    gateway = start(service="socket")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.send(message)
        assert client.closed()[0] == 1011
    eventually(lambda: calm(gateway), what="no session is left")


def test_bodies_beyond_the_limit_are_refused(start: Start, upstream: Upstream) -> None:
    gateway = start(plugin={"max_body_bytes": 1000}, paths=[*paths(["body_twice", "body:read", "filter", "long_body"])])
    assert code(request(gateway.address, "POST", "/body_twice", body=b"x" * 1001)) == (413, "BODY_TOO_LARGE")
    assert upstream.seen == []
    assert request(gateway.address, "POST", "/body_twice", body=b"x" * 1000).status == 200
    assert code(gateway.get("/long_body")) == (502, "BODY_TOO_LARGE")
    # A library that does not read what is too long for it is no obstacle.
    plain = start(plugin={"max_body_bytes": 1000}, chain=[link("phases")])
    assert len(plain.get("/bytes/100000").body) == 100_000
    reading = start(plugin={"max_body_bytes": 1000}, chain=[link("filter")])
    assert code(reading.get("/bytes/100000")) == (502, "BODY_TOO_LARGE")
    assert code(reading.get("/chunked/100000")) == (502, "BODY_TOO_LARGE")
    lenient = start(plugin={"max_body_bytes": 1000}, chain=[link("filter", on_error="continue")])
    assert len(lenient.get("/chunked/100000").body) == 100_000, "it passes as it is, whole"


def test_a_body_that_breaks_off_while_a_library_reads_it_is_no_answer(start: Start) -> None:
    gateway = start(chain=[link("filter")])
    assert gateway.get("/cut/100").status == 502


def test_many_reads_and_floods_leave_the_others_alone(start: Start) -> None:
    gateway = start(paths=paths(["flood_reads", "phases"]))
    assert gateway.get("/flood_reads").status == 200
    assert gateway.get("/phases").status == 200


@pytest.mark.parametrize(("define", "missing"), [("NO_SHUTDOWN", "shutdown"), ("NO_EVENTS", "event_stream")])
def test_a_library_without_a_function_is_refused(tmp_path: Path, upstream: Upstream, define: str, missing: str) -> None:
    refused(tmp_path, library_configuration(upstream.address, build(define)), f"it has no function `{missing}`")


def test_a_file_that_is_no_library_is_refused(tmp_path: Path, upstream: Upstream) -> None:
    file = tmp_path / "no.so"
    file.write_text("no library")
    refused(tmp_path, library_configuration(upstream.address, file), "it is no library for this process")


def test_a_library_whose_initialize_hangs_is_refused(tmp_path: Path, upstream: Upstream) -> None:
    config = library_configuration(upstream.address, build(), plugin={"config": {"hang_initialize": True}})
    refused(tmp_path, config, "`initialize` has not returned within 10s")


def refused(directory: Path, config: dict[str, Any], why: str) -> None:
    path = directory / "nylon.yaml"
    path.write_text(json.dumps(config))
    with Process([*NYLON, "run", "-c", str(path)]) as process:
        assert process.wait() == 3
        assert why in process.log


def test_a_reload_that_cannot_load_its_library_changes_nothing(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    gateway = start(chain=[link("auth")])
    wrong = tmp_path / "wrong.so"
    wrong.write_text("no library")
    gateway.reload(library_configuration(upstream.address, wrong, chain=[link("auth")]))
    gateway.process.wait_for("reload refused")
    assert gateway.get("/").status == 401
    assert gateway.get("/", Authorization="Bearer secret").status == 200


def half_an_upload(gateway: Gateway, target: str, more: str = "") -> socket.socket:
    """A client that has sent a part of what it has announced."""
    address, _, port = gateway.address.rpartition(":")
    client = socket.create_connection((address, int(port)))
    client.settimeout(20)
    head = f"POST {target} HTTP/1.1\r\nHost: tested\r\n{more}Content-Length: 1000000\r\n\r\n"
    client.sendall(head.encode() + b"x" * 1000)
    return client


def broke_off(gateway: Gateway, entry: str, times: int = 1) -> None:
    """The handler has heard so often that its body breaks off, and never that it has ended."""
    lines = gateway.process.lines
    eventually(
        lambda: sum(f"{entry}: body broke off" in line for line in list(lines)) == times, what="a body that breaks off"
    )
    assert not any(f"{entry}: body has ended" in line for line in lines)
    eventually(lambda: calm(gateway), what="no session is left")


@pytest.mark.parametrize("defines", [[], ["RUNS"]])
@pytest.mark.parametrize("entry", ["reads_431", "reads_200"])
def test_half_a_request_is_never_taken_for_a_whole_one(start: Start, entry: str, defines: list[str]) -> None:
    gateway = start(*defines, paths=paths([entry]), top={"limits": {"read_timeout": "500ms"}})
    with half_an_upload(gateway, f"/{entry}") as stalls:
        assert stalls.recv(100).startswith(b"HTTP/1.1 408")
    broke_off(gateway, entry)
    with half_an_upload(gateway, f"/{entry}"):
        if entry == "reads_431":
            gateway.process.wait_for("has a piece")
    broke_off(gateway, entry, 2)


def test_a_read_within_the_call_hears_of_the_end_whatever_the_request_asks_for(start: Start) -> None:
    gateway = start(paths=paths(["inline_reads_431"]))
    with half_an_upload(gateway, "/inline_reads_431", "Connection: upgrade\r\nUpgrade: websocket\r\n"):
        gateway.process.wait_for("has a piece")
    broke_off(gateway, "inline_reads_431")


def test_a_phase_that_has_failed_reads_no_end_of_its_body(start: Start) -> None:
    gateway = start(paths=paths(["fails_reads_431"]))
    with half_an_upload(gateway, "/fails_reads_431") as client:
        assert client.recv(100).startswith(b"HTTP/1.1 502")
        broke_off(gateway, "fails_reads_431")


@pytest.mark.parametrize(("entry", "defines"), [("reads_107", []), ("filter_pieces_437", ["MASK"])])
def test_half_an_answer_is_never_taken_for_a_whole_one(start: Start, entry: str, defines: list[str]) -> None:
    gateway = start(*defines, chain=[link(entry)])
    try:
        assert gateway.get("/cut/100").status == 502
    except (http.client.IncompleteRead, ConnectionResetError):
        assert defines, "its head was out"
    broke_off(gateway, entry)
