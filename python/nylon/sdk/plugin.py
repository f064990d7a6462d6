"""`Plugin`: named entries, how they get their configuration, and the ways to serve them."""

import asyncio
import inspect
import os
import typing
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from nylon.sdk import handlers
from nylon.sdk.serving import Serving
from nylon.sdk.settings import LIMITS, Options, Settings, resolve

Handler = TypeVar("Handler", bound=Callable[..., object])
Callback = TypeVar("Callback", bound=Callable[..., object])


class Plugin:
    """A named set of entries. Making one does no I/O; where it runs is decided by who runs it.

    `servers` (one text with commas, or several) and `group` are for a worker on NATS; without them NATS_SERVERS, then
    nats://127.0.0.1:4222, and NATS_GROUP count. For the options see `nylon.sdk.settings.Options`. Raises TypeError for
    an option that it does not know; what is wrong with their values is raised by the start.
    """

    def __init__(
        self,
        servers: str | Sequence[str] | None = None,
        group: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        unknown = sorted(set(options) - set(Options.__annotations__))
        if unknown:
            raise TypeError(f"making a plugin: unknown option {', '.join(unknown)}")
        self._servers = servers
        self._group = group
        self._options = options
        self._handlers: dict[str, Any] = {}
        self._on_initialize: Callable[..., object] | None = None
        self._wanted: Any = dict
        self._on_shutdown: Callable[[], object] | None = None
        self._serving: Serving | None = None

    def handler(self, name: str) -> Callable[[Handler], Handler]:
        """Makes a class, or a function that registers phases, the handler of an entry. The same name replaces.

        It counts from the next start on. Raises TypeError for what cannot be one.
        """

        def register(handler: Handler) -> Handler:
            handlers.check(name, handler)  # refused here, where the mistake is
            self._handlers[name] = handler
            return handler

        return register

    def on_initialize(self, function: Callback) -> Callback:
        """Registers what takes the plugin's configuration: before the first session, and whenever it changes.

        The annotation of its parameter says as what: `dict`, a dataclass, a TypedDict, a pydantic model; no
        configuration is an empty object. The last function counts, from the next start on; `def` or `async def`. The
        first requests wait for it 100 ms at most and go to another worker then; later ones go on beside it, so it has
        to guard what it changes. Raising, or a configuration that does not fit, refuses it: a worker that had one keeps
        serving with it, and tries again after 1 s, then ever less often (SPEC 18). Raises TypeError for a function that
        does not take exactly one positional parameter.
        """
        parameters = [
            parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        if len(parameters) != 1:
            raise TypeError("registering on_initialize: the function takes the configuration and nothing else")
        self._on_initialize = function
        self._wanted = _annotation(function, parameters[0].name)
        return function

    def on_shutdown(self, function: Callback) -> Callback:
        """Registers what runs once, after the last session: `def` or `async def`, the last one counts.

        The worker waits 3 s for it. What it raises is logged.
        """
        self._on_shutdown = function
        return function

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries, in the order in which they were registered."""
        return tuple(self._handlers)

    @property
    def initializer(self) -> tuple[Callable[..., object] | None, Any]:
        """What takes the configuration, and as what."""
        return self._on_initialize, self._wanted

    def describe(self) -> list[handlers.Entry]:
        """What is known about the entries. Raises TypeError for a handler that cannot be one."""
        return [handlers.describe(name, handler) for name, handler in self._handlers.items()]

    def settings(self, servers: str | Sequence[str] | None = None, group: str | None = None) -> Settings:
        """Where it would serve; the arguments win over what the code says, and that over the environment.

        Raises ValueError without a group, and for a `max_threads` below 1.
        """
        return resolve(servers or self._servers, group or self._group, self._options, os.environ)

    def settings_at(self, server: str, group: str, *, user: str | None = None, password: str | None = None) -> Settings:
        """Where it serves when somebody else decides: what the code says of limits counts, its connection does not.

        A server `memory:<name>` is a bus of this process. Raises ValueError for a `max_threads` below 1.
        """
        kept: dict[str, Any] = {name: value for name, value in self._options.items() if name in LIMITS}
        if kept.get("max_threads", 1) < 1:
            raise ValueError("starting a worker: max_threads must be at least 1")
        return Settings(servers=[server], group=group, user=user, password=password, **kept)

    def serving(self, settings: Settings | None = None) -> Serving:
        """What serves this plugin, not started yet. Raises ValueError without an entry, else as `settings`."""
        return Serving(
            self.describe(),
            settings or self.settings(),
            on_initialize=self._on_initialize,
            wanted=self._wanted,
            on_shutdown=self._on_shutdown,
        )

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains and returns; a second signal ends the process at once.

        Signals are heard in the main thread only; the exit code of a second one is 128 + its number. Handlers that
        still run some seconds after the drain timeout end the process with 1. The worker connects in the background,
        for ever. Raises ValueError without a group or an entry and for options that make no sense, RuntimeError for
        those that the connection cannot use (a missing file, a prefix), TypeError for a `config` without a JSON form.
        """
        self.serving().run()

    async def serve(self) -> None:
        """As `run`, with `async def` handlers in the running loop. Cancelling it drains too, and takes as long."""
        await self.serving().serve()

    async def start(self) -> None:
        """Begins to serve, with `async def` handlers in the running loop. Connects in the background, for ever.

        Signals are the program's. Raises RuntimeError if it is running already, and as `run`; after `close` it may
        start again.
        """
        self._begin(asyncio.get_running_loop())

    async def close(self) -> None:
        """Drains and ends what `start` began, within `drain_timeout` and a few seconds; a second time does nothing.

        Not from a handler: it would wait for itself.
        """
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.aclose()

    @property
    def running(self) -> Serving | None:
        """What `start` or `with` began: `.worker` has its state and counters. None before and after."""
        return self._serving

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        if self._serving is not None:
            raise RuntimeError("starting a plugin: it is running already")
        serving = self.serving()
        serving.start(loop)
        self._serving = serving

    async def __aenter__(self) -> Self:
        """Starts, as `start`."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drains, as `close`."""
        await self.close()

    def __enter__(self) -> Self:
        """Starts, with `async def` handlers in an event loop of its own thread. Raises as `start`."""
        self._begin(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drains, as `close`."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._handlers) or 'without entries'}>"


class NatsPlugin(Plugin):
    """A plugin that serves as a worker on NATS: `NatsPlugin("nats://localhost:4222", group="auth_workers")`.

    The same as Plugin, under the name that the other SDK has for it.
    """


def _annotation(function: Callable[..., object], parameter: str) -> Any:
    """The parameter's type. Falls back to the raw annotation where names cannot be resolved yet."""
    try:
        return typing.get_type_hints(function, include_extras=True).get(parameter, dict)
    except NameError as error:
        raise TypeError(f"registering on_initialize: {error}") from error
