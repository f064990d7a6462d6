"""What is known to go wrong in the original's configuration, routing and proxying, and the test that it does not."""

import socket

import pytest

from .conftest import Stage
from .support.defects import has, ids
from .support.upstream import Upstream

MATCHING = "crates/nylon-routing/tests/snapshot/matching.rs::"
PROXY = "crates/nylon-proxy/tests/"
TEMPLATES = "crates/nylon-routing/src/template/tests.rs::"

DEFECTS = {
    "S2 mistyped middleware opens routes": "middleware-unknown.case",
    "S3 a method in the path": MATCHING + "a_method_in_the_path_bypasses_nothing",
    "S5 routes chosen by a header of clients": "header-routes-by-default.case",
    "S6 clients steer by X-Forwarded-For": "crates/nylon-routing/src/client/tests.rs::nobody_is_believed_by_default",
    "S8 internals in error bodies": "test_config_defects.test_clients_learn_nothing_of_what_is_behind",
    "S9 ACME paths of the upstream": "test_config_defects.test_acme_paths_are_the_upstreams",
    "R1 500 where nothing matches": "test_main_job.test_no_route_no_method",
    "R2 status replaced": "test_phases.test_upstream_status_arrives_unchanged",
    "R4 hosts overwrite each other": "hosts-twice.case",
    "R5 errors without a content type": "test_config_defects.test_errors_say_what_they_are_and_are_not_kept",
    "R6 set appends": "test_templates.test_the_request_is_changed_once_and_everybody_sees_it",
    "R7 an illegal value": "test_templates.test_what_a_client_sends_gets_into_no_framing",
    "R8 modifiers in all phases": "test_templates.test_the_request_is_changed_once_and_everybody_sees_it",
    "R9 rewrite unused": MATCHING + "a_match_rewrites_its_path",
    "R11 IPv6 and case of hosts": MATCHING + "ip_literals_are_hosts",
    "P1 weights that end the process": "services-wrong.case",
    "P3 paths of health checks": "not-built.case",
    "P4 threads and addresses": "limits-wrong.case",
    "P5 a missing symbol": "test_ffi_failures.test_a_library_without_a_function_is_refused",
    "L1 weighted is by client": "crates/nylon-routing/src/balance/tests.rs::weights_are_interleaved_not_consecutive",
    "L4 durations": "test_config_defects.test_milliseconds_are_milliseconds",
    "L5 IPv6 endpoints": "test_config_defects.test_an_endpoint_may_have_an_ipv6_address",
    "L6 no timeouts, no second endpoint": PROXY + "failures.rs::an_endpoint_that_is_not_there_costs_no_request",
    "L7 a reload forgets": PROXY + "life.rs::pools_survive_a_reload",
    "L8 algorithm required, no endpoints": "services-wrong.case",
    "G1 every file is read": "proxy-directory.case",
    "G2 listeners dropped": "listeners-covered.case",
    "G3 not validated": "paths-wrong.case",
    "G4 members of a path list": "paths-wrong.case",
    "G5 without effect": "original-ignored.case",
    "G6 unknown keys": "unknown-keys.case",
    "TP1 bad expressions vanish": TEMPLATES + "what_the_original_drops_in_silence_is_an_error",
    "TP2 quoted keys": TEMPLATES + "each_function_does_what_its_name_says",
    "TP3 percent-decoding": "test_templates.test_a_payload_is_rendered_for_each_request",
    "TP4 leaves and scalars": TEMPLATES + "leaves_of_json_are_addressed_by_their_place",
    "V2 a reload is not atomic": "test_process.test_reload_is_all_or_nothing",
    "V4 the grace is always slept": "test_process.test_sigterm_lets_requests_end",
    "V5 version": "tests/cli/test_commands.py::test_version",
    "V9 two default directories": "default-directory-missing.case",
    "PF1 the cost of many routes": "crates/nylon-routing/tests/snapshot/cost.rs::a_thousand_routes_cost_what_one_costs",
}

_TLS = "not built: TLS and ACME"
_STATIC = "not built: static files"
_CHECKS = "not built: health checks"
_SERVICE = "not built: daemon mode and `nylon service`"
ABSENT = {
    **dict.fromkeys(
        ("S1", "S4", "R3", "V7", "PF2", *(f"M{n}" for n in range(1, 12)), *(f"T{n}" for n in range(1, 5))), _TLS
    ),
    **dict.fromkeys(("S7", "R10"), _STATIC),
    **dict.fromkeys(("L2", "L3"), _CHECKS),
    **dict.fromkeys(("S10", "V1", "V6", "V8"), _SERVICE),
    "P2": "no work stealing that could be off",
    "L9": "about sources, not behaviour",
    "TP5": "templates are compiled with their snapshot and go with it",
    "V3": "not built: handing listeners to another process; SIGQUIT means nothing",
    "PF3": "no cache and no map is copied for a request",
}
"""What cannot happen here, and why. Its chapter 10 is about Redis, which is not built."""

COUNTS = {"S": 10, "R": 11, "P": 5, "M": 11, "T": 4, "L": 9, "G": 6, "TP": 5, "V": 9, "PF": 3}


def test_no_defect_is_left_out() -> None:
    known = {defect.split()[0] for defect in DEFECTS}
    assert known | set(ABSENT) == ids(COUNTS)
    assert not known & set(ABSENT)


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_has_its_test(defect: str) -> None:
    assert has(DEFECTS[defect])


def test_acme_paths_are_the_upstreams(stage: Stage) -> None:
    gateway = stage.gateway()
    challenge = "/.well-known/acme-challenge/"
    assert gateway.get(f"{challenge}token").status == 200
    for out in ("../../account.json", "..%2f..%2faccount.json", "%2e%2e/account.json"):
        assert gateway.get(challenge + out).status == 400
    assert [seen.target for seen in stage.upstream.seen] == [f"{challenge}token"]


def test_clients_learn_nothing_of_what_is_behind(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gateway = stage.gateway(service={"endpoints": [{"ip": "127.0.0.1", "port": port}]})
    for path, status in (("/x", 502), ("/plugin", 503)):
        answer = gateway.get(path)
        assert (answer.status, set(answer.json)) == (status, {"status", "error", "message", "id"})
        said = f"{answer.headers} {answer.body.decode()}"
        assert not any(name in said for name in (str(port), "tested", "bus", "upstream:", "127.0.0.1", "refused"))


def test_errors_say_what_they_are_and_are_not_kept(stage: Stage) -> None:
    gateway = stage.gateway(route={"paths": [{"path": "/a", "methods": ["PUT"], "service": {"name": "upstream"}}]})
    for path, status in (("/nothing", 404), ("/a", 405)):
        answer = gateway.get(path)
        assert (answer.status, answer.header("content-type")) == (status, "application/json")
        assert answer.header("cache-control") == "no-store"


def test_milliseconds_are_milliseconds(stage: Stage) -> None:
    gateway = stage.gateway(service={"timeouts": {"head": "300ms"}})
    answer = gateway.get("/slow/5000")
    assert answer.status == 504
    assert 0.29 < answer.seconds < 0.95, "the original makes seconds of it"


def test_an_endpoint_may_have_an_ipv6_address(stage: Stage) -> None:
    with Upstream(ip="::1") as upstream:
        port = int(upstream.address.rpartition(":")[2])
        gateway = stage.gateway(service={"endpoints": [{"ip": "::1", "port": port}]})
        assert gateway.get("/x").status == 200
        assert upstream.seen[0].target == "/x"
