"""The peers: everything that is not ours."""

from __future__ import annotations

from bench import tools
from bench.places import AUTH
from bench.processes import free_port
from bench.systems.base import System, render


class Direct(System):
    """The upstream without anything before it; runs for the whole benchmark."""

    name = "direct"
    title = "upstream, direct"

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.port = upstream

    def launch(self) -> None:
        config = render("nginx-upstream.conf", self.folder / "nginx.conf", PORT=self.port)
        self.spawn("upstream", tools.find("nginx"), "-p", self.folder, "-c", config)


class Nginx(System):
    name = "nginx"
    title = "nginx, proxy"

    def launch(self) -> None:
        config = render("nginx-proxy.conf", self.folder / "nginx.conf", PORT=self.port, UPSTREAM=self.upstream)
        self.spawn("gateway", tools.find("nginx"), "-p", self.folder, "-c", config)


class Haproxy(System):
    name = "haproxy"
    title = "HAProxy, proxy"

    def launch(self) -> None:
        config = render("haproxy-proxy.cfg", self.folder / "haproxy.cfg", PORT=self.port, UPSTREAM=self.upstream)
        self.spawn("gateway", tools.find("haproxy"), "-db", "-f", config)


class NginxGranian(System):
    """nginx `auth_request` → Granian with two Python workers on uvloop."""

    auth = True
    interface = "rsgi"

    def launch(self) -> None:
        port = free_port()
        self.spawn(
            "workers",
            *(tools.in_venv("granian"), "--interface", self.interface, "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "2", "--runtime-threads", "1", "--loop", "uvloop", "--http", "1", "--no-ws"),
            *("--no-access-log", "--log-level", "error", f"granian_app:{self.interface}"),
            PYTHONPATH=str(AUTH),
        )
        self.await_port(port, "Granian")
        values = {"PORT": self.port, "UPSTREAM": self.upstream, "AUTH": port}
        config = render("nginx-auth.conf", self.folder / "nginx.conf", **values)
        self.spawn("gateway", tools.find("nginx"), "-p", self.folder, "-c", config)


class NginxGranianRsgi(NginxGranian):
    name = "nginx-granian-rsgi"
    title = "nginx auth_request → Granian (RSGI)"
    interface = "rsgi"


class NginxGranianAsgi(NginxGranian):
    name = "nginx-granian-asgi"
    title = "nginx auth_request → Granian (ASGI)"
    interface = "asgi"


class Envoy(System):
    """Envoy, concurrency 2 → two Python gRPC processes."""

    auth = True
    filter = "ext_authz"

    def launch(self) -> None:
        ports = (free_port(), free_port())
        for port in ports:
            command = (tools.in_venv("python"), AUTH / "envoy_auth.py", self.filter, str(port))
            self.spawn("workers", *command, PYTHONPATH=str(tools.STUBS))
        for port in ports:
            self.await_port(port, "the gRPC server")
        block = render(f"envoy-{self.filter}.yaml", self.folder / "filter.yaml").read_text().rstrip("\n")
        values = {"PORT": self.port, "UPSTREAM": self.upstream, "AUTH1": ports[0], "AUTH2": ports[1], "FILTER": block}
        config = render("envoy.yaml", self.folder / "envoy.yaml", **values)
        arguments = ("--concurrency", "2", "--log-level", "error", "--disable-hot-restart", "-c", config)
        self.spawn("gateway", tools.envoy(), *arguments)


class EnvoyExtAuthz(Envoy):
    name = "envoy-ext_authz"
    title = "Envoy ext_authz → Python"
    filter = "ext_authz"


class EnvoyExtProc(Envoy):
    name = "envoy-ext_proc"
    title = "Envoy ext_proc → Python"
    filter = "ext_proc"


class HaproxySpoe(System):
    """HAProxy SPOE → two Python agents on uvloop."""

    name = "haproxy-spoe"
    title = "HAProxy SPOE → Python"
    auth = True

    def launch(self) -> None:
        ports = (free_port(), free_port())
        for port in ports:
            self.spawn("workers", tools.in_venv("python"), AUTH / "spop_agent.py", str(port))
        for port in ports:
            self.await_port(port, "the agent")
        spoe = render("spoe-auth.conf", self.folder / "spoe.conf")
        values = {"PORT": self.port, "UPSTREAM": self.upstream, "SPOE": spoe, "AGENT1": ports[0], "AGENT2": ports[1]}
        config = render("haproxy-spoe.cfg", self.folder / "haproxy.cfg", **values)
        self.spawn("gateway", tools.find("haproxy"), "-db", "-f", config)


PEERS: tuple[type[System], ...] = (
    Nginx,
    Haproxy,
    NginxGranianRsgi,
    NginxGranianAsgi,
    EnvoyExtAuthz,
    EnvoyExtProc,
    HaproxySpoe,
)
