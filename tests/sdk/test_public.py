"""What `from nylon import …` promises, and how little a plugin needs."""

import ast
import subprocess
import sys
from pathlib import Path

import nylon
from nylon import sdk, testing
from nylon.worker.loading import load

from .phases import Client

FROZEN = {
    "BodyReader",
    "BodyTooLargeError",
    "ClientGoneError",
    "DecodingError",
    "Headers",
    "HttpError",
    "LoggingContext",
    "NatsPlugin",
    "NotWebSocketError",
    "Phase",
    "PhaseContext",
    "PhaseHandler",
    "PhaseTimeoutError",
    "Plugin",
    "PluginError",
    "QueryParams",
    "Request",
    "RequestFilterContext",
    "Response",
    "ResponseBodyFilterContext",
    "ResponseFilterContext",
    "ResponseHeaders",
    "ResponseStream",
    "SessionClosedError",
    "ShuttingDownError",
    "WebSocket",
    "__version__",
    "request_id",
}

TRIVIAL = """\
from nylon import PhaseHandler, Plugin, RequestFilterContext

plugin = Plugin()


@plugin.handler("hello")
class Hello(PhaseHandler):
    def request_filter(self, ctx: RequestFilterContext) -> None:
        ctx.response.body_text(f"hello {ctx.request.params['name']}")
        ctx.end()
"""

EXAMPLE = """\
import hmac
from dataclasses import dataclass, field
from nylon import HttpError, PhaseHandler, Plugin
from nylon import LoggingContext, RequestFilterContext, ResponseFilterContext


@dataclass
class Config:
    tokens: dict[str, str] = field(default_factory=dict)      # token -> user


plugin = Plugin()         # or NatsPlugin("nats://localhost:4222", group="auth_workers")
config = Config()


@plugin.on_initialize
def load(cfg: Config) -> None:
    global config
    config = cfg


@plugin.handler("auth")
class Auth(PhaseHandler):                                     # one instance per request
    user: str | None = None

    async def request_filter(self, ctx: RequestFilterContext) -> None:
        scheme, _, token = (ctx.request.header("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            for known, user in config.tokens.items():
                if hmac.compare_digest(known.encode(), token.encode()):
                    self.user = user
        if self.user is None:
            raise HttpError(401, "unauthorized", headers={"WWW-Authenticate": "Bearer"})
        ctx.request.set_header("X-Auth-User", self.user)      # returning means "next"

    def response_filter(self, ctx: ResponseFilterContext) -> None:   # sync works too
        ctx.response.set_header("Cache-Control", "private")

    def logging(self, ctx: LoggingContext) -> None:
        print(self.user, ctx.request.path, ctx.response.status, ctx.response.duration_ms)


if __name__ == "__main__":
    plugin.run()      # a worker on NATS_SERVERS, NATS_GROUP; drains on SIGTERM
"""


def test_exports_are_frozen() -> None:
    assert set(nylon.__all__) == FROZEN
    assert all(hasattr(nylon, name) for name in FROZEN)
    assert nylon.__all__ == sorted(nylon.__all__, key=lambda name: (name.islower(), name))


def test_errors_have_their_bases() -> None:
    for name in FROZEN:
        if name.endswith("Error") and name not in ("PluginError", "HttpError"):
            assert issubclass(getattr(nylon, name), nylon.PluginError)


def test_a_trivial_plugin_is_short(tmp_path: Path) -> None:
    lines = [line for line in TRIVIAL.splitlines() if line.strip()]
    assert len(lines) < 15
    file = tmp_path / "trivial.py"
    file.write_text(TRIVIAL)
    with Client(load(str(file))) as client:
        result = client.session("hello", params={"name": "you"}).request_filter()
    assert (result.action, result.body) == ("end", b"hello you")


def test_the_example_of_the_sdk_works_as_it_stands(tmp_path: Path, capsys: object) -> None:
    file = tmp_path / "auth_example.py"
    file.write_text(EXAMPLE)
    with Client(load(f"{file}:plugin"), config={"tokens": {"secret": "ann"}}) as client:
        refused = client.session("auth").request_filter()
        assert (refused.action, refused.status, refused.headers["www-authenticate"]) == ("end", 401, "Bearer")
        session = client.session("auth", path="/p", headers={"authorization": "bearer secret"})
        assert session.request_filter().request_headers == {"x-auth-user": "ann"}
        assert session.response_filter().headers == {"cache-control": "private"}
        session.logging(status=200, duration_ms=5)


def test_importing_starts_nothing() -> None:
    code = "import nylon, threading, sys; print(threading.active_count(), 'asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "1"


def test_every_public_function_of_the_sdk_says_what_it_does() -> None:
    import nylon.sdk

    folder = Path(nylon.sdk.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                nested = file.name == "plugin.py" and node.name == "register"
                nested = nested or (file.name == "serving.py" and node.name == "restore")
                assert nested or ast.get_docstring(node), f"{file.name}: {node.name}"


def test_the_reference_has_every_name() -> None:
    page = Path(__file__).parents[2].joinpath("docs/python-reference.md").read_text(encoding="utf-8")
    for name in [*sdk.__all__, *testing.__all__]:
        assert f"\n### {name}\n" in page, name
