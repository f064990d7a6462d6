"""An upstream that normalises paths in its own way serves nothing that did not pass the middleware of its path."""

import posixpath
from urllib.parse import unquote

from .conftest import Stage

AUTH = {
    "path": ["/auth", "/auth/{*rest}", "/kept/auth"],
    "middleware": [{"plugin": "tested", "entry": "auth"}],
    "service": {"name": "upstream"},
}
KEPT = {"path": "/kept/{*rest}", "encoded_slashes": "keep", "service": {"name": "upstream"}}
TARGETS = [
    "/open/../auth/x",
    "//auth/x",
    "/%61uth/x",
    "/auth%2f..",
    "/auth%2fx",
    "/./auth",
    "/open/%2e%2e/auth/x",
    "/open/..%2fauth/x",
    "/open/..;/auth/x",
    "/auth;a=b/x",
    "/%2e/auth",
    "/open%5c..%5cauth",
    "/open//..//auth/x",
    "/kept/%2Fauth",
    "/kept%2fauth",
    "/kept/x%2f..%2fauth",
    "/kept/..%2fauth/x",
    "/kept/x%2f..;/auth",
    "/kept/auth;%2fx",
]


def _as_an_upstream_reads_it(target: str) -> str:
    """Decoded, without parameters of segments, dots resolved, slashes merged."""
    path = target.partition("?")[0]
    segments = (segment.partition(";")[0] for segment in path.split("/"))
    return posixpath.normpath("/" + unquote("/".join(segments)).replace("\\", "/").lstrip("/"))


def test_no_spelling_of_a_path_skips_its_middleware(either_stage: Stage) -> None:
    gateway = either_stage.gateway(paths=[AUTH, KEPT])
    either_stage.worker()
    for target in TARGETS:
        answer = gateway.get(target)
        assert answer.status in (400, 401), (target, answer)
        if answer.status == 400:
            gateway.await_log(answer.json["id"], "the path")
    for target in ("/open/x", "/open//auth", "/a%20b;v=1/c"):
        assert gateway.get(target).status == 200, target
    read = [_as_an_upstream_reads_it(seen.target) for seen in either_stage.upstream.seen]
    assert read == ["/open/x", "/open/auth", "/a b/c"]


def test_an_encoded_slash_is_kept_for_whom_the_path_says_so(either_stage: Stage) -> None:
    answered = {**KEPT, "path": "/answered/{*name}", "service": {"name": "answer"}}
    gateway = either_stage.gateway(paths=[AUTH, KEPT, answered])
    either_stage.worker()
    for target in ("/kept/group%2Fproject/files?ref=a%2fb", "/kept/%2f/queue", "/kept/@scope%2Fname"):
        assert gateway.get(target).status == 200, target
    assert [seen.target for seen in either_stage.upstream.seen] == [
        "/kept/group%2Fproject/files?ref=a%2fb",
        "/kept/%2F/queue",
        "/kept/@scope%2Fname",
    ]
    assert gateway.get("/answered/group%2Fproject").json["path"] == "/answered/group%2Fproject"
    refused = gateway.get("/open/group%2Fproject")
    assert refused.status == 400
    gateway.await_log(refused.json["id"], "the path has an encoded slash")
