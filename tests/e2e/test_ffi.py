"""Shared libraries with the Nylon ABI in the gateway's process: everything that works."""

import signal
import threading
from typing import Any

import pytest

from .support.http import Client, request
from .support.library import Start, build, calm, library_configuration, link
from .support.patience import eventually
from .support.upstream import Upstream
from .support.websocket import WebSocketClient


def test_a_library_answers_and_can_read_everything(start: Start) -> None:
    path = {"path": "/read/{name}", "service": {"name": "answer"}}
    gateway = start(paths=[path], payload={"k": "v"}, plugin={"config": {"a": [1, "ä"]}})
    headers = {"X-Test": "value", "Host": "a.test:8080"}
    answer = request(gateway.address, "POST", "/read/x%20y?a=1&b=", body=b"hello", headers=headers)
    assert answer.status == 201
    read = dict(line.split("=", 1) for line in answer.body.decode().splitlines())
    assert int(read.pop("211")) > 1_600_000_000_000
    assert read == {
        "200": "hello",
        "201": "value",
        "202": "1",
        "203": "http://a.test:8080/read/x%20y?a=1&b=",
        "204": "/read/x%20y",
        "205": "a=1&b=",
        "206": '{"name":"x%20y"}',
        "207": "a.test",
        "208": "127.0.0.1",
        "209": "POST",
        "210": "5",
        "payload": '{"k":"v"}',
        "absent": "",
    }
    assert answer.header("content-type") == "text/plain"
    assert answer.header("x-read-back") == "201"
    assert answer.header("x-bytes-back") == str(len(answer.body))
    # The framing is the gateway's own, whatever the library does about it.
    assert answer.all("content-length") == [str(len(answer.body))]
    assert answer.header("transfer-encoding") is None
    gateway.process.wait_for(r'library: initialize \{"a":\[1,"ä"\]\}')
    gateway.process.wait_for("library: extensions 400 401 402 410")
    eventually(lambda: calm(gateway), what="no session is left")


@pytest.mark.parametrize(
    ("entry", "defines", "executor"),
    [
        ("auth", [], "pool"),
        ("auth", [], "inline"),
        ("auth", ["RUNS"], "pool"),
        ("auth", ["RUNS", "MASK"], "inline"),
        ("inline", [], "pool"),
        ("inline", ["MASK"], "inline"),
    ],
)
def test_an_auth_plugin_lets_nobody_pass_without_the_token(
    start: Start, upstream: Upstream, entry: str, defines: list[str], executor: str
) -> None:
    changes: dict[str, Any] = {"plugin": {"executor": executor}, "route": {"strip_headers": ["X-Auth-User"]}}
    gateway = start(*defines, chain=[link(entry)], **changes)
    good, wrong = [0], [0]

    def requests(token: str, counts: list[int], status: int) -> None:
        client = Client(gateway.address)
        for _ in range(100):
            answer = client.get("/", Authorization=token, X_Auth_User="mallory")
            assert (answer.status, answer.body == b"who are you?") == (status, status == 401)
            counts[0] += 1
        client.close()

    threads = [
        threading.Thread(target=requests, args=arguments)
        for _ in range(8)
        for arguments in (("Bearer secret", good, 200), ("Bearer guess", wrong, 401))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (good, wrong) == ([800], [800])
    assert len(upstream.seen) == 800
    assert {seen.header("x-auth-user") for seen in upstream.seen} == {"ada"}
    eventually(lambda: calm(gateway), what="no session is left")


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503])
def test_an_answer_that_no_plugin_changes_stays_as_it_is(start: Start, status: int) -> None:
    plain, behind = start(), start(chain=[link("phases"), link("auth")])
    for target in (f"/status/{status}", "/bytes/0", "/bytes/100000", "/chunked/100000"):
        expected = plain.get(target)
        answer = behind.get(target, Authorization="Bearer secret")
        assert (answer.status, answer.body) == (expected.status, expected.body)
        own = {"date", "x-request-id"}
        of = [{(k.lower(), v) for k, v in one.headers if k.lower() not in own} for one in (expected, answer)]
        assert of[1] == of[0], target
    head = request(behind.address, "HEAD", "/bytes/123", headers={"Authorization": "Bearer secret"})
    assert (head.header("content-length"), head.header("etag")) == ("123", '"v1"')


def test_what_no_filter_could_have_passes_a_library_that_does_not_read_it(start: Start) -> None:
    gateway = start(chain=[link("phases")])
    answer = gateway.get("/sse")
    assert (answer.status, answer.body, answer.header("content-type")) == (200, b"data: one\n\n", "text/event-stream")
    refused = start(chain=[link("filter")]).get("/sse")
    # The filter has made another type of it before: it is a body like any other.
    assert (refused.status, refused.body) == (200, b"data: one\n\n+11")


def test_filters_see_the_real_answer_and_change_it(start: Start, upstream: Upstream) -> None:
    gateway = start(chain=[link("filter")])
    answer = gateway.get("/bytes/10")
    assert (answer.status, answer.body) == (200, b"0000000100+10")
    assert answer.all("content-type") == ["text/replaced"], "set replaces every spelling"
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert answer.header("x-seen-status") == "200"
    assert answer.header("x-seen-upstream") == "yes"
    assert answer.header("x-upstream") is None
    assert answer.header("etag") is None, "it belongs to another body"
    assert answer.all("content-length") == ["13"]
    gateway.process.wait_for(r"logged path=/bytes/10 status=200 bytes=13 replaced=1 error=\.")
    # Pieces make one body, which the filter sees once.
    chunked = gateway.get("/chunked/20000")
    assert chunked.body[-6:] == b"+20000"
    assert len(chunked.body) == 20006
    gateway.process.wait_for(r"logged path=/chunked/20000 status=200 bytes=20006")


def test_a_mask_saves_phases_and_none_that_counts(start: Start) -> None:
    gateway = start("MASK", chain=[link("auth"), link("response_only"), link("filter")])
    assert gateway.get("/bytes/10", Authorization="Bearer secret").body == b"0000000100+10"
    assert gateway.get("/bytes/10").status == 401
    eventually(lambda: calm(gateway), what="no session is left")

    def phases() -> list[str]:
        return [line for line in gateway.process.lines if "response_only: phase" in line]

    # In the second request it runs on the early answer. The last line may still be on its way here.
    eventually(lambda: len(phases()) >= 2, what="what the library has printed")
    assert phases() == ["library: response_only: phase 2"] * 2


def test_an_entry_runs_in_every_phase_even_if_the_request_ended_before_it(start: Start) -> None:
    gateway = start(chain=[link("auth"), link("phases")])
    assert gateway.get("/").status == 401
    gateway.process.wait_for("phases: phase 4")
    phases = [line for line in gateway.process.lines if "phases: phase" in line]
    assert phases == [f"library: phases: phase {phase}" for phase in (2, 3, 4)]


def test_the_upstream_gets_all_of_a_body_that_a_library_has_read(start: Start, upstream: Upstream) -> None:
    gateway = start(chain=[link("body_twice")])
    body = bytes(range(256)) * 4096
    answer = request(gateway.address, "POST", "/", body=body)
    assert answer.json["length"] == len(body)
    assert upstream.seen[-1].body == body
    assert upstream.seen[-1].header("x-body") == "same"


def test_a_library_streams(start: Start) -> None:
    gateway = start(service="streams", chain=[link("filter"), link("phases")])
    answer = gateway.get("/plugin?500")
    assert answer.status == 202
    assert answer.body == b"".join(b"piece %d\n" % index for index in range(500))
    assert (answer.header("x-stream"), answer.header("x-too-late")) == ("yes", None)
    assert answer.header("x-seen-status") == "202", "response filters of the others run"
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_middleware_streams(start: Start, upstream: Upstream) -> None:
    gateway = start(chain=[link("streams")])
    assert gateway.get("/?3").body == b"piece 0\npiece 1\npiece 2\n"
    assert upstream.seen == []
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_fast_stream_waits_for_its_client(start: Start) -> None:
    gateway = start(service="fast_stream")
    answer = gateway.get("/plugin")
    assert len(answer.body) == 100 << 20
    assert set(answer.body[:: 1 << 20]) == {0}
    gateway.process.wait_for("fast_stream: written")


def test_a_websocket_echoes_and_closes(start: Start) -> None:
    gateway = start(service="socket")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert (client.status, client.headers["sec-websocket-accept"]) == (101, client.expected_accept)
        assert client.receive() == "hello"
        for message in ("one", "", "ä" * 40_000, b"", b"\0\1" * 50_000):
            client.send(message)
            assert client.receive() == message
        assert client.close(1000, "done") == (1000, "done")
    gateway.process.wait_for("socket: socket closed")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.send("bye")
        assert client.closed() == (1000, "")
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_library_that_knows_more_than_the_abi_has_codes_and_reasons(start: Start) -> None:
    gateway = start(service="socket")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.send("kick")
        assert client.closed() == (4001, "out")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        assert client.close(4002, "so long") == (4002, "so long")
    gateway.process.wait_for("closed with 4002 so long")
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.send("badly!")  # with 1005, which no frame has
        assert client.closed()[0] == 1011
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        client.drop()
    gateway.process.wait_for("closed with 1006")
    eventually(lambda: calm(gateway), what="no session is left")


def test_rooms_reach_every_member_and_nobody_else(start: Start) -> None:
    gateway = start(service="socket")
    clients = [WebSocketClient(gateway.address, "/plugin") for _ in range(6)]
    for client in clients:
        assert client.receive() == "hello"
    clients[-1].send("leave")
    assert clients[-1].receive() == "left"
    clients[0].send("all:one")
    clients[0].send("all:two")
    for client in clients[:-1]:
        assert [client.receive(), client.receive()] == ["one", "two"]
    clients[-1].send("all:three")
    for client in clients[:-1]:
        assert client.receive() == "three"
    clients[-1].send("still here")
    assert clients[-1].receive() == "still here"
    # One that has left in the middle says goodbye to the room from its callback.
    clients[0].drop()
    for client in clients[1:-1]:
        assert client.receive() == b"gone"
    for client in clients[1:]:
        client.drop()
    eventually(lambda: calm(gateway), what="no session is left")


def test_a_request_that_is_no_websocket_gets_400(start: Start) -> None:
    gateway = start(service="socket")
    answer = gateway.get("/plugin")
    assert answer.status == 400
    assert b"cannot become a websocket" in answer.body
    with WebSocketClient(gateway.address, "/plugin", key="short") as client:
        assert client.status == 400


def test_a_reload_initializes_again_and_fails_no_request(start: Start, upstream: Upstream) -> None:
    gateway = start(chain=[link("auth")], plugin={"config": {"version": 1}})
    stop, failed, served = threading.Event(), list[int](), [0]

    def requests() -> None:
        client = Client(gateway.address)
        while not stop.is_set():
            answer = client.get("/", Authorization="Bearer secret")
            served[0] += 1
            if answer.status != 200:
                failed.append(answer.status)
        client.close()

    threads = [threading.Thread(target=requests) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 7):
        before = served[0]
        config = library_configuration(
            upstream.address, build(), chain=[link("auth")], plugin={"config": {"version": version}}
        )
        gateway.reload(config)
        gateway.process.wait_for(rf'initialize {{"version":{version}}}')
        eventually(lambda before=before: served[0] > before + 20, what="requests after the reload")
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    starts = [line for line in gateway.process.lines if "library: initialize" in line]
    assert len(starts) == 6, "once for each configuration"
    assert not any("library: shutdown" in line for line in gateway.process.lines)


def test_a_drain_ends_what_runs_and_then_shuts_the_library_down_once(start: Start) -> None:
    gateway = start(service="socket", chain=[link("filter")])
    with WebSocketClient(gateway.address, "/plugin") as client:
        assert client.receive() == "hello"
        gateway.process.signal(signal.SIGTERM)
        assert client.closed()[0] == 1001
    assert gateway.process.wait() == 0
    log = gateway.process.lines
    assert log.count("library: shutdown ") == 1
    assert log.index("library: socket: socket closed") < log.index("library: shutdown ")
    logged = next(index for index, line in enumerate(log) if "logged path=/plugin" in line)
    assert logged < log.index("library: shutdown ")


def test_a_library_whose_shutdown_hangs_does_not_keep_the_gateway(start: Start) -> None:
    gateway = start(plugin={"config": {"hang_shutdown": True}})
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.wait() == 0
    assert any("has not shut down within 5 s" in line for line in gateway.process.lines)
