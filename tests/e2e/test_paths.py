"""An upstream that normalises paths in its own way serves nothing that did not pass the middleware of its path."""

import posixpath
from urllib.parse import unquote

from .conftest import Stage

AUTH = {"path": ["/auth", "/auth/{*rest}"], "middleware": [{"plugin": "tested", "entry": "auth"}]}
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
]


def _as_an_upstream_reads_it(target: str) -> str:
    """Decoded, without parameters of segments, dots resolved, slashes merged."""
    path = target.partition("?")[0]
    segments = (segment.partition(";")[0] for segment in path.split("/"))
    return posixpath.normpath("/" + unquote("/".join(segments)).replace("\\", "/").lstrip("/"))


def test_no_spelling_of_a_path_skips_its_middleware(either_stage: Stage) -> None:
    gateway = either_stage.gateway(paths=[{**AUTH, "service": {"name": "upstream"}}])
    either_stage.worker()
    for target in TARGETS:
        answer = gateway.get(target)
        assert answer.status in (400, 401), (target, answer)
        if answer.status == 400:
            assert "the path" in gateway.log_of(answer.json["id"])
    for target in ("/open/x", "/open//auth", "/a%20b;v=1/c"):
        assert gateway.get(target).status == 200, target
    read = [_as_an_upstream_reads_it(seen.target) for seen in either_stage.upstream.seen]
    assert read == ["/open/x", "/open/auth", "/a b/c"]
