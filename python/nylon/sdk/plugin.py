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

    `servers` and `group` are for a worker on NATS; without them NATS_SERVERS and NATS_GROUP count. Raises TypeError for
    an option that it does not know.
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

        Raises TypeError for what cannot be one.
        """

        def register(handler: Handler) -> Handler:
            handlers.check(name, handler)  # refused here, where the mistake is
            self._handlers[name] = handler
            return handler

        return register

    def on_initialize(self, function: Callback) -> Callback:
        """Registers what takes the plugin's configuration: before the first session, and whenever it changes.

        The annotation of its parameter says as what: `dict`, a dataclass, a TypedDict, a pydantic model. Raising
        refuses the configuration; a worker that had one keeps serving with it. Raises TypeError for a function
        that does not take exactly one positional parameter.
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
        """Registers what runs once, after the last session."""
        self._on_shutdown = function
        return function

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries."""
        return tuple(self._handlers)

    @property
    def initializer(self) -> tuple[Callable[..., object] | None, Any]:
        """What takes the configuration, and as what."""
        return self._on_initialize, self._wanted

    def describe(self) -> list[handlers.Entry]:
        """What is known about the entries. Raises TypeError for a handler that cannot be one."""
        return [handlers.describe(name, handler) for name, handler in self._handlers.items()]

    def settings(self, servers: str | Sequence[str] | None = None, group: str | None = None) -> Settings:
        """Where it would serve; the arguments win over what the code says. Raises ValueError."""
        return resolve(servers or self._servers, group or self._group, self._options, os.environ)

    def settings_at(self, server: str, group: str, *, user: str | None = None, password: str | None = None) -> Settings:
        """Where it serves when somebody else decides: what the code says of limits counts, its connection does not.

        A server `memory:<name>` is a bus of this process.
        """
        kept: dict[str, Any] = {name: value for name, value in self._options.items() if name in LIMITS}
        if kept.get("max_threads", 1) < 1:
            raise ValueError("starting a worker: max_threads must be at least 1")
        return Settings(servers=[server], group=group, user=user, password=password, **kept)

    def serving(self, settings: Settings | None = None) -> Serving:
        """What serves this plugin, not started yet."""
        return Serving(
            self.describe(),
            settings or self.settings(),
            on_initialize=self._on_initialize,
            wanted=self._wanted,
            on_shutdown=self._on_shutdown,
        )

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once."""
        self.serving().run()

    async def serve(self) -> None:
        """As `run`, with `async def` handlers in the running loop. Cancelling it drains too."""
        await self.serving().serve()

    async def start(self) -> None:
        """Begins to serve, with `async def` handlers in the running loop. Connects in the background."""
        self._begin(asyncio.get_running_loop())

    async def close(self) -> None:
        """Drains and ends what `start` began."""
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.aclose()

    @property
    def running(self) -> Serving | None:
        """What `start` or `with` began: its state and counters."""
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
        """Starts with an event loop of its own."""
        self._begin(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drains."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self._handlers) or 'without entries'}>"


class NatsPlugin(Plugin):
    """A plugin that serves as a worker on NATS: `NatsPlugin("nats://localhost:4222", group="auth_workers")`."""


def _annotation(function: Callable[..., object], parameter: str) -> Any:
    """The parameter's type. Falls back to the raw annotation where names cannot be resolved yet."""
    try:
        return typing.get_type_hints(function, include_extras=True).get(parameter, dict)
    except NameError as error:
        raise TypeError(f"registering on_initialize: {error}") from error
