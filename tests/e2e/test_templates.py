"""Templates in payloads and the two header modifiers (nylon-config §6 and 7)."""

import re

import pytest

from .conftest import Stage
from .support.gateway import configuration
from .support.patience import eventually

REQUEST, RESPONSE = "RequestHeaderModifier", "ResponseHeaderModifier"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def changes(name: str, **values: str) -> dict[str, object]:
    """A modifier that sets headers; `_` stands for `-`."""
    pairs = [{"name": key.replace("_", "-"), "value": value} for key, value in values.items()]
    return {"plugin": name, "payload": {"set": pairs}}


@pytest.mark.parametrize("way", ["middleware", "service"])
def test_a_payload_is_rendered_for_each_request(stage: Stage, way: str) -> None:
    stage.worker()
    payload = {"who": "${header(x-who)}", "a.b": ["${query(q, 'none')}", "${param(path)}"], "n": 1, "plain": "${}"}
    use = {"entry": "answers", "payload": payload}
    service = {"name": "answer", "service_type": "plugin", "plugin": {"name": "tested", **use}}
    gateway = stage.gateway(
        chain=[{"plugin": "tested", **use}] if way == "middleware" else [],
        services=[service] if way == "service" else [],
        route={"paths": [{"path": "/{*path}", "service": {"name": "answer" if way == "service" else "upstream"}}]},
    )
    for who, query, wanted in [('a"\\b', "?q=%E0%B8%81", "ก"), ("b", "", "none")]:
        got = gateway.get(f"/json{query}", X_Who=who).json["payload"]
        assert got == {"who": who, "a.b": [wanted, "json"], "n": 1, "plain": "${}"}


def test_the_request_is_changed_once_and_everybody_sees_it(stage: Stage) -> None:
    stage.worker()
    chain = [
        changes(REQUEST, x_request_id="${uuid(v7)}", x_old="new"),
        {"plugin": REQUEST, "payload": {"set": [{"name": "x-copy", "value": "${header(X-Request-Id)}"}]}},
        {"plugin": REQUEST, "payload": {"remove": ["Cookie", "x-${query(q)}"]}},
        {"plugin": "tested", "entry": "filter"},
        changes(RESPONSE, x_echo="${header(x-request-id)}", server="none"),
        {"plugin": RESPONSE, "payload": {"remove": ["X-Upstream"]}},
    ]
    gateway = stage.gateway(chain=chain)
    answer = gateway.get("/x?q=gone", Cookie="a=1", X_Old="old", X_Gone="1")
    (seen,) = stage.upstream.seen
    names = [name.lower() for name, _ in seen.headers]
    assert seen.header("x-old") == "new" and names.count("x-old") == 1
    assert "cookie" not in names and "x-gone" not in names
    sent = seen.header("x-request-id")
    assert sent is not None and UUID7.fullmatch(sent)
    assert seen.header("x-copy") == sent
    assert answer.header("x-echo") == sent, "the template is not rendered again in later phases"
    assert [value for name, value in answer.headers if name.lower() == "server"] == ["none"]
    assert answer.header("x-upstream") is None
    assert gateway.get("/x?q=gone").header("x-echo") != sent


def test_answers_of_the_gateway_have_the_headers_too(stage: Stage) -> None:
    chain = [changes(RESPONSE, x_by="${host}"), {"plugin": "tested", "entry": "filter"}]
    gateway = stage.gateway(chain=chain)
    answer = gateway.get("/x")
    assert (answer.status, answer.header("x-by")) == (503, "127.0.0.1"), "there is no worker"
    stage.worker()
    eventually(lambda: gateway.get("/x").status == 200, what="the worker")
    answer = gateway.get("/x", X_End="418")
    assert (answer.status, answer.header("x-by")) == (418, "127.0.0.1")


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%201", "%00", "a%0aTransfer-Encoding:%20chunked"])
def test_what_a_client_sends_gets_into_no_framing(stage: Stage, value: str) -> None:
    """The header is not there; the request goes on, as in the original."""
    gateway = stage.gateway(chain=[changes(REQUEST, x_q="${query(q)}"), changes(RESPONSE, x_q="${query(q)}")])
    answer = gateway.get(f"/x?q={value}", X_Q="the client's own")
    assert answer.status == 200
    (seen,) = stage.upstream.seen
    for headers in (seen.headers, answer.headers):
        names = {name.lower() for name, _ in headers}
        assert not names & {"x-evil", "x-q", "transfer-encoding"}


def test_modifiers_need_neither_worker_nor_nats(stage: Stage) -> None:
    groups = {"ids": [changes(REQUEST, x_by="group")]}
    known = configuration("nats://127.0.0.1:4222", stage.upstream.address)["services"]
    services = [service for service in known if service["service_type"] == "http"]
    routes = [
        {
            "name": "main",
            "route": {"type": "host", "value": "*"},
            "middleware": [{"group": "ids"}],
            "paths": [{"path": ["/", "/{*path}"], "service": {"name": "upstream"}}],
        }
    ]
    gateway = stage.gateway(
        top={"plugins": [], "messaging": [], "services": services, "routes": routes, "middleware_groups": groups}
    )
    assert gateway.get("/x").status == 200
    assert stage.upstream.seen[0].header("x-by") == "group"
