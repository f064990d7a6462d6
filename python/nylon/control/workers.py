"""The workers that a gateway starts beside itself: `workers:` of the configuration."""

import os
import sys
from collections import Counter
from collections.abc import Mapping

import structlog

from nylon.config import RuntimeFile, Server
from nylon.config.messaging import Messaging
from nylon.config.plugins import Plugin
from nylon.config.workers import Worker
from nylon.control.child import Child

_GRACE_SECONDS = 30.0
_AUTH = {
    "user": "NATS_USER",
    "password": "NATS_PASSWORD",
    "token": "NATS_TOKEN",
    "nkey_seed": "NATS_NKEY_SEED",
    "creds_file": "NATS_CREDS_FILE",
}
_TLS = {"ca_file": "NATS_CA_FILE", "cert_file": "NATS_CERT_FILE", "key_file": "NATS_KEY_FILE"}

log = structlog.stdlib.get_logger()


class Workers:
    """Keeps one supervisor (`nylon worker`) running for each entry of `workers:`."""

    def __init__(self) -> None:
        self._running: list[tuple[tuple[object, ...], Child]] = []
        self._new: list[tuple[tuple[object, ...], Child]] = []
        self._wanted: list[tuple[object, ...]] = []
        self._leaving: list[Child] = []

    def prepare(
        self, config: RuntimeFile, embedded: Mapping[str, Server], *, reload: bool = False
    ) -> list[tuple[str, str, int]]:
        """Start what is new in `config` beside what runs; `commit` or `abandon` comes next.

        Return of which workers a gateway will hear that has this configuration: messaging, group, how many.
        """
        self._running = [item for item in self._running if item[1].ended() is None]
        self._new, self._wanted = [], []
        running = [key for key, _ in self._running]
        starting: Counter[tuple[str, str]] = Counter()
        for worker in config.workers:
            messaging = messaging_of(config, worker)
            key = self._key(worker, config, embedded, reload)
            self._wanted.append(key)
            if key in running:
                continue
            environment = worker_environment(messaging, embedded) | {"NATS_GROUP": worker.group}
            child = Child(_command(worker, reload), grace=_GRACE_SECONDS, environment={**os.environ, **environment})
            self._running.append((key, child))
            self._new.append((key, child))
            log.info("workers started", target=worker.target, group=worker.group, processes=worker.processes)
            if (messaging.name, worker.group) in _served(config):
                starting[messaging.name, worker.group] += worker.processes
        return [(messaging, group, count) for (messaging, group), count in starting.items()]

    def commit(self) -> None:
        """Let those end that the configuration of `prepare` has no more."""
        for key, child in self._running:
            if key not in self._wanted:
                self._let_go(child)
        self._running = [item for item in self._running if item[0] in self._wanted]
        self._new = []

    def abandon(self) -> None:
        """Let those end that a `prepare` without `commit` started: its configuration was refused."""
        for _, child in self._new:
            self._let_go(child)
        self._running = [item for item in self._running if item not in self._new]
        self._new = []

    def alive(self) -> bool:
        """Whether none has ended by itself."""
        return all(child.ended() is None for _, child in self._running)

    def lost(self) -> list[int]:
        """Return the exit codes of supervisors that ended by themselves, and forget them."""
        # asking is what takes their last remains out of the system's table
        self._leaving = [child for child in self._leaving if child.ended() is None]
        gone = [(key, child) for key, child in self._running if child.ended() is not None]
        self._running = [item for item in self._running if item not in gone]
        return [child.stop() for _, child in gone]

    def stop(self) -> None:
        """Drain and end all of them."""
        for _, child in self._running:
            child.ask_to_end()
        for child in [*self._leaving, *(child for _, child in self._running)]:
            child.stop()
        self._running, self._leaving = [], []

    def _let_go(self, child: Child) -> None:
        child.ask_to_end()
        self._leaving.append(child)

    def _key(
        self, worker: Worker, config: RuntimeFile, embedded: Mapping[str, Server], reload: bool
    ) -> tuple[object, ...]:
        environment = worker_environment(messaging_of(config, worker), embedded)
        return (worker.model_dump_json(), tuple(environment.items()), reload)


def worker_environment(messaging: Messaging, embedded: Mapping[str, Server]) -> dict[str, str]:
    """Return what a worker has to find in its environment to reach `messaging`.

    Credentials go this way because arguments of a process can be read by everyone on the machine.
    """
    if messaging.embedded:
        server = embedded[messaging.name]
        environment = {"NATS_SERVERS": server.url, "NATS_USER": server.user, "NATS_PASSWORD": server.password}
    else:
        environment = {"NATS_SERVERS": ",".join(messaging.servers)}
        environment |= _variables(messaging.auth, _AUTH) | _variables(messaging.tls, _TLS)
        if messaging.tls is not None:
            environment["NATS_TLS"] = "1"
    environment["NYLON_PREFIX"] = messaging.prefix
    return environment


def _variables(section: object | None, names: Mapping[str, str]) -> dict[str, str]:
    values = {variable: getattr(section, key, None) for key, variable in names.items()}
    return {variable: value for variable, value in values.items() if value is not None}


def messaging_of(config: RuntimeFile, worker: Worker) -> Messaging:
    """Return what a worker connects to."""
    by_name = {messaging.name: messaging for messaging in config.messaging}
    return by_name[worker.messaging] if worker.messaging is not None else config.messaging[0]


def _served(config: RuntimeFile) -> set[tuple[str, str]]:
    """Return messaging and group of every plugin: the only ones whose workers a gateway looks for."""
    return {group_of(config, plugin) for plugin in config.plugins if plugin.type == "messaging"}


def group_of(config: RuntimeFile, plugin: Plugin) -> tuple[str, str]:
    """Return messaging and group of a plugin on NATS."""
    first = config.messaging[0].name if config.messaging else ""
    return plugin.messaging or first, plugin.group or plugin.name


def _command(worker: Worker, reload: bool) -> list[str]:
    return [
        sys.executable,
        "-m",
        "nylon",
        "worker",
        worker.target,
        f"--processes={worker.processes}",
        *(["--max-threads", str(worker.max_threads)] if worker.max_threads is not None else []),
        *(["--reload"] if reload else []),
    ]
