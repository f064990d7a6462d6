"""Twins for a running loop of what blocks: each call that may wait does so in a thread."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class Twin(Generic[T]):
    """What its methods wait for happens to `blocking`."""

    def __init__(self, blocking: T) -> None:
        self.blocking = blocking


def awaited(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[Twin[T], P], Coroutine[Any, Any, R]]:
    """Return the method of the twin: the same, to be awaited."""

    @wraps(method)
    async def call(self: Twin[T], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(method, self.blocking, *args, **kwargs)

    return call
