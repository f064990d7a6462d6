"""Changes to what passes between testee and judge: what a mutant is made of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .bus import Filter, Message
from .frames import Values, decode, encode, plain
from .msgpack import RefusedError
from .web import Answer


def frames(change: Callable[[str, Values, Message], list[Message]]) -> Callable[[], Filter]:
    """Make a filter that looks at each frame of each message; a BATCH becomes single messages."""

    def fresh() -> Filter:
        def apply(message: Message) -> list[Message]:
            try:
                name, values = decode(message.data)
            except RefusedError:
                return [message]
            if name != "BATCH":
                return change(name, values, message)
            return [one for inner in values["frames"] for one in apply(replace(message, data=inner, batched=True))]

        return apply

    return fresh


def edit(name: str, how: Callable[[Values], Any]) -> Callable[[], Filter]:
    """Change the values of every frame of a type."""

    def change(kind: str, values: Values, message: Message) -> list[Message]:
        if kind != name:
            return [message]
        how(values)
        return [message.with_data(encode(kind, values))]

    return frames(change)


def drop(*names: str) -> Callable[[], Filter]:
    """Lose every frame of these types."""
    return frames(lambda kind, _, message: [] if kind in names else [message])


def double(name: str) -> Callable[[], Filter]:
    """Send every frame of a type twice."""
    return frames(lambda kind, _, message: [message, message] if kind == name else [message])


def only_once(name: str) -> Filter:
    """Lose every frame of a type but the first."""
    seen: list[str] = []

    def change(kind: str, _: Values, message: Message) -> list[Message]:
        if kind == name:
            seen.append(kind)
        return [] if kind == name and len(seen) > 1 else [message]

    return frames(change)()


def renumbered(change: Callable[[str, Values, int], list[tuple[str, Values]]]) -> Callable[[], Filter]:
    """Make the n-th frame of a type in its session another one, more or none, numbered so that no gap shows it."""

    def fresh() -> Filter:
        numbers: dict[bytes, int] = {}
        counts: dict[tuple[bytes, str], int] = {}

        def one(kind: str, values: Values, message: Message) -> list[Message]:
            if "session" not in values:
                return [message]
            session = values["session"]
            counts[session, kind] = nth = counts.get((session, kind), 0) + 1
            out: list[Message] = []
            for name, new in change(kind, values, nth):
                if name not in ("ABORT", "BUSY"):
                    new["seq"] = numbers.get(session, 0)
                    numbers[session] = new["seq"] + (name != "PROBE")
                out.append(message.with_data(encode(name, new)))
            return out

        return frames(one)()

    return fresh


def without_nth(kind: str, nth: int | None = None) -> Callable[[], Filter]:
    """Lose the n-th frame of a type in each session, or every one, without a gap."""
    return renumbered(lambda name, values, n: [] if name == kind and nth in (None, n) else [(name, values)])


def followed(kind: str, by: str, **what: Any) -> Callable[[], Filter]:
    """Send another frame behind every one of a type."""
    return renumbered(
        lambda name, values, _: [(name, values), (by, {**values, **what})] if name == kind else [(name, values)]
    )


no_gap = renumbered(lambda name, values, _: [(name, values)])
"""Every number as it is due: what hears this cannot see that anything is missing."""


def late(name: str, seconds: float) -> Callable[[], Filter]:
    """Delay every frame of a type."""
    return frames(lambda kind, _, message: [replace(message, after=seconds)] if kind == name else [message])


def rewrite(name: str, how: Callable[[list[Any]], bytes]) -> Callable[[], Filter]:
    """Write every frame of a type otherwise."""

    def change(kind: str, values: Values, message: Message) -> list[Message]:
        return [message.with_data(how(plain(kind, values)))] if kind == name else [message]

    return frames(change)


def put(**what: Any) -> Callable[[Values], None]:
    """Set these values."""

    def how(values: Values) -> None:
        values.update(what)

    return how


def first(**what: Any) -> Callable[[Values], None]:
    """Set these values of `first`."""

    def how(values: Values) -> None:
        if values["first"] is not None:
            values["first"].update(what)

    return how


def remembers_first() -> Filter:
    """Repeat `first` in every frame that can carry it."""
    known: dict[bytes, Any] = {}

    def change(kind: str, values: Values, message: Message) -> list[Message]:
        if "first" not in values:
            return [message]
        if values["first"] is not None:
            known[values["session"]] = values["first"]
            return [message]
        values["first"] = known.get(values["session"])
        return [message.with_data(encode(kind, values))]

    return frames(change)()


def shift(element: str, by: int) -> Callable[[Values], None]:
    """Add to a number."""

    def how(values: Values) -> None:
        values[element] = max(0, values[element] + by)

    return how


def shorten(values: Values) -> None:
    """Lose the end of a body."""
    values["bytes"] = values["bytes"][:-1]


def reverse(values: Values) -> None:
    """Turn the order of operations round."""
    values["ops"].reverse()


def elsewhere(suffix: str) -> Callable[[], Filter]:
    """Publish to a subject that is not the session's."""
    return lambda: (
        lambda message: (
            [replace(message, subject=f"{message.subject}{suffix}")] if ".v1.h." in message.subject else [message]
        )
    )


def unescaped() -> Filter:
    """Hear nothing on a subject that has an escaped name: it was subscribed to under another one."""
    return lambda message: [] if "=" in message.subject else [message]


def header(name: str, how: Callable[[Values], None]) -> Callable[[Values], None]:
    """Change a part of the snapshot."""

    def change(values: Values) -> None:
        how(values[name])

    return change


def without(*names: str) -> Callable[[Answer], Answer]:
    """Lose headers of the client's answer."""
    return lambda answer: replace(answer, headers=[one for one in answer.headers if one["name"] not in names])


def passes(answer: Answer) -> Answer:
    """Let every request pass."""
    return replace(answer, status=200)


_GENERATIONS: dict[bytes, int] = {}


def _learn(kind: str, values: Values, message: Message) -> list[Message]:
    if kind == "OPEN":
        _GENERATIONS[values["session"]] = values["generation"]
    return [message]


def _right(kind: str, values: Values, message: Message) -> list[Message]:
    if "generation" in values:
        values["generation"] = _GENERATIONS.get(values["session"], 0)
        return [message.with_data(encode(kind, values))]
    return [message]


learning, righting = frames(_learn), frames(_right)
