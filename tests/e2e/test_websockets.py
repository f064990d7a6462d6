"""WebSockets of plugins: what they carry, what closes them, and the callbacks."""

from collections.abc import Iterator

import pytest

from .support.nats import NatsServer
from .support.patience import eventually
from .support.sockets import House, house_of
from .support.websocket import BINARY, CLOSE, CONTINUE, PING, TEXT


@pytest.fixture(scope="module")
def house(shared_nats: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house_of(shared_nats, tmp_path_factory.mktemp("sockets")) as house:
        yield house


def test_messages_go_both_ways(house: House) -> None:
    with house.client(x_id="both") as client:
        assert client.status == 101
        assert client.headers["sec-websocket-accept"] == client.expected_accept
        assert client.headers["x-entry"] == "echo"
        for message in ("hello", b"\x00\xff", "", b"", "ünï", "x" * 70_000, b"y" * 1_000_000):
            client.send(message)
            assert client.receive() == message
        assert client.close(1000, "enough") == (1000, "enough")
    over = house.note(id="both", over=True)
    assert (over["code"], over["reason"], over["error"]) == (1000, "enough", None)
    logged = house.note(logged="both")
    assert (logged["status"], logged["error"]) == (101, None)
    assert logged["bytes"] == 1_070_000 + len("hello") + 2 + len("ünï".encode())
    house.idle()


def test_a_def_handler_holds_a_socket_too(house: House) -> None:
    with house.client("plain", x_id="plain") as client:
        client.send("hello")
        client.send(b"\x00")
        assert (client.receive(), client.receive()) == ("hello", b"\x00")
        client.send("leave")
        assert client.closed() == (1000, "")
    house.note(logged="plain", status=101)


def test_a_thousand_messages_keep_their_order(house: House) -> None:
    with house.client() as client:
        client.raw(*(client.frame(TEXT, b"%d" % number) for number in range(1_000)))
        assert [client.receive() for _ in range(1_000)] == [str(number) for number in range(1_000)]


def test_a_request_that_is_no_handshake_is_the_handlers_to_answer(house: House) -> None:
    answer = house.gateway.get("/echo", X_Id="none")
    assert answer.status == 426
    assert b"it is not HTTP/1.1 with `Upgrade: websocket`" in answer.body
    assert house.gateway.get("/careless").status == 500
    house.idle()


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Connection": "keep-alive"}, "`Connection` header does not say upgrade"),
        ({"Sec_WebSocket_Version": "8"}, "`Sec-WebSocket-Version` is not 13"),
        ({"key": "AAAA"}, "`Sec-WebSocket-Key` is not 16 bytes"),
        ({"key": ""}, "`Sec-WebSocket-Key` is not 16 bytes"),
        ({"Content_Length": "5"}, "it has a body"),
    ],
)
def test_what_is_missing_is_named(house: House, headers: dict[str, str], why: str) -> None:
    with house.client(**headers) as client:
        assert client.status == 426
        assert why in client.body().decode()


def test_the_sub_protocol_is_the_handlers_first_that_the_client_offers(house: House) -> None:
    with house.client(Sec_WebSocket_Protocol="chat.v1, other, chat.v2") as client:
        assert client.headers["sec-websocket-protocol"] == "chat.v2"
    with house.client(Sec_WebSocket_Protocol="other") as client:
        assert (client.status, client.headers.get("sec-websocket-protocol")) == (101, None)


def test_nobody_gets_past_an_auth_plugin(house: House) -> None:
    with house.client("private", x_id="stranger") as client:
        assert client.status == 401
    with house.client("private", Authorization="Bearer secret") as client:
        client.send("in")
        assert client.receive() == "in"
    assert not house.notes(id="stranger")


def test_a_middleware_may_take_the_request(house: House) -> None:
    with house.client("middleware") as client:
        client.send("hello")
        assert client.receive() == "hello"


def test_a_second_upgrade_is_refused(house: House) -> None:
    with house.client("twice") as client:
        assert "the response has been given or begun" in str(client.receive())
        assert client.closed() == (1000, "")


@pytest.mark.parametrize(
    ("word", "code", "reason"),
    [
        ("leave", 1000, ""),
        ("raise", 1011, "the handler failed"),
        ("refuse", 1011, "the handler failed"),
        ("close", 4001, "asked to close"),
    ],
)
def test_how_a_handler_ends_its_socket(house: House, word: str, code: int, reason: str) -> None:
    with house.client(x_id=word) as client:
        client.send("before")
        client.send(word)
        assert client.receive() == "before"
        assert client.closed() == (code, reason)
    logged = house.note(logged=word)
    assert (logged["status"], logged["error"]) == (101, None)
    house.idle()


def test_a_client_that_has_gone_ends_the_iteration(house: House) -> None:
    with house.client(x_id="gone") as client:
        client.send("hello")
        assert client.receive() == "hello"
        client.drop()
    over = house.note(id="gone", over=True)
    assert (over["code"], over["reason"]) == (1006, "")
    assert over["error"] is not None
    assert house.note(logged="gone")["error"] is not None
    assert not house.notes(id="gone", cancelled=True)
    house.idle()


def test_sending_to_a_client_that_has_gone_raises(house: House) -> None:
    with house.client(x_id="flooded") as client:
        client.send("flood")
        client.receive()
        client.drop()
    house.note(id="flooded", gone=True)
    house.note(logged="flooded")
    house.idle()


def test_a_slow_client_stops_the_handler_within_its_credit(house: House) -> None:
    with house.client(x_id="slow", receive=4096) as client:
        client.send("flood")
        house.note(sent=1_000_000)
        before = -1
        # Until it stands still: what fits into sockets and windows is sent, and no more.
        while (now := len(house.notes())) != before:
            before = now
            house.gateway.metrics()
            house.gateway.get("/echo")
        with house.client() as other:
            other.send("hello")
            assert other.receive() == "hello"
        client.drop()
    house.note(id="slow", gone=True)


def test_a_handler_that_does_not_read_stops_its_client(house: House) -> None:
    with house.client(x_id="sleeper") as client:
        client.send("sleep")
        house.note(sleeps=True)
        client.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            for _ in range(1_000):
                client.send(b"x" * 100_000)
        assert house.worker.log.count("sleeps") == 1
        client.drop()
    # Nobody reads that socket until the handler does.
    with house.client() as other:
        other.send("wake")
    house.note(id="sleeper", over=True)
    house.idle()


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("too long", 1009),
        ("too long in fragments", 1009),
        ("bad utf-8", 1007),
        ("bad utf-8 over fragments", 1007),
        ("reserved bit", 1002),
        ("reserved opcode", 1002),
        ("reserved control opcode", 1002),
        ("unmasked", 1002),
        ("long ping", 1002),
        ("fragmented ping", 1002),
        ("continuation of nothing", 1002),
        ("a message within a message", 1002),
        ("close with one byte", 1002),
        ("close with a reserved code", 1002),
    ],
)
def test_what_breaks_the_protocol_closes_the_socket(house: House, case: str, code: int) -> None:
    identity = case.replace(" ", "-")
    with house.client(x_id=identity, x_limit="1000") as client:
        f = client.frame
        client.send("fine")
        assert client.receive() == "fine"
        frames = {
            "too long": [f(BINARY, b"x" * 1001)],
            "too long in fragments": [f(BINARY, b"x" * 600, fin=False), f(CONTINUE, b"x" * 600)],
            "bad utf-8": [f(TEXT, b"\xff")],
            "bad utf-8 over fragments": [f(TEXT, b"\xc3", fin=False), f(CONTINUE, b"\xc3")],
            "reserved bit": [f(TEXT, b"x", bits=0x40)],
            "reserved opcode": [f(3, b"x")],
            "reserved control opcode": [f(11, b"x")],
            "unmasked": [f(TEXT, b"x", mask=False)],
            "long ping": [f(PING, b"x" * 126)],
            "fragmented ping": [f(PING, b"x", fin=False)],
            "continuation of nothing": [f(CONTINUE, b"x")],
            "a message within a message": [f(TEXT, b"x", fin=False), f(TEXT, b"x")],
            "close with one byte": [f(CLOSE, b"x")],
            "close with a reserved code": [f(CLOSE, b"\x03\xed")],
        }[case]
        client.raw(*frames)
        assert client.closed()[0] == code
    house.note(id=identity, over=True)
    house.idle()


def test_fragments_become_one_message_whatever_comes_between(house: House) -> None:
    with house.client() as client:
        f = client.frame
        whole = "täst".encode()
        client.raw(f(TEXT, whole[:2], fin=False), f(PING, b"now"), f(CONTINUE, b"", fin=False), f(CONTINUE, whole[2:]))
        assert client.pong() == b"now"
        assert client.receive() == "täst"
        client.raw(*(bytes([byte]) for byte in f(TEXT, b"byte by byte")))
        assert client.receive() == "byte by byte"
        assert client.close(1001) == (1001, "")


def test_callbacks_come_one_at_a_time_and_the_close_last(house: House) -> None:
    with house.client("called", x_id="caller") as client:
        client.send("hello")
        client.send(b"\x00" * 9)
        client.send("again")
        assert [client.receive(), client.receive()] == ["caller: hello", "caller: again"]
        assert client.close(1000) == (1000, "")
    house.note(logged="caller")
    calls = [note["on"] for note in house.notes(id="caller")]
    assert calls == ["open", "opened", "text", "binary", "text", "close"]
    assert house.notes(id="caller", on="close")[0]["code"] == 1000


def test_a_callback_that_raises_closes_with_1011(house: House) -> None:
    with house.client("called", x_id="raiser") as client:
        client.send("raise")
        assert client.closed()[0] == 1011
    house.note(logged="raiser")
    assert [note["on"] for note in house.notes(id="raiser")][-2:] == ["text", "close"]
    house.idle()


def test_an_error_comes_before_the_close(house: House) -> None:
    with house.client("called", x_id="breaker") as client:
        client.raw(client.frame(TEXT, b"\xff"))
        assert client.closed()[0] == 1007
    house.note(logged="breaker")
    assert [note["on"] for note in house.notes(id="breaker")][-2:] == ["error", "close"]


def test_rooms_can_be_spoken_to_when_the_socket_is_closed(house: House) -> None:
    with house.client("called", x_id="stays") as stays:
        stays.send("hello")
        assert stays.receive() == "stays: hello"
        with house.client("called", x_id="leaves") as leaves:
            leaves.send("hello")
            assert stays.receive() == "leaves: hello"
            leaves.close()
        assert stays.receive() == "leaves has left"


def test_callbacks_of_a_def_handler(house: House) -> None:
    with house.client("called_plain", x_id="plainly") as client:
        client.send("hello")
        assert client.receive() == "hello"
        client.close(1000)
    assert house.note(id="plainly", on="close")["code"] == 1000


def test_a_wait_that_is_given_up_swallows_no_message(house: House) -> None:
    with house.client("impatient") as client:
        for number in range(300):
            seen = len(house.notes(impatient=True))
            if number % 10 == 0:
                eventually(lambda seen=seen: len(house.notes(impatient=True)) > seen, what="a wait given up")
            client.send(str(number))
            assert client.receive() == str(number)
        assert client.close(1000) == (1000, "")


def test_sending_to_a_closed_socket_says_who_closed_it(house: House) -> None:
    with house.client("late", x_id="theirs") as client:
        client.send("wait")
        assert client.close(1000) == (1000, "")
    assert house.note(id="theirs")["raised"] == "ClientGoneError"
    with house.client("late", x_id="ours") as client:
        client.send("close")
        assert client.closed() == (1000, "")
    assert house.note(id="ours")["raised"] == "SessionClosedError"
