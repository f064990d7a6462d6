"""Reading what a testee has said: the frames of a message, in their smallest form and for their direction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .bus import Message
from .cases import FailedError
from .frames import Values, decode, is_smallest
from .match import shown
from .msgpack import RefusedError

FROM_WORKER = {
    "ACCEPT", "FETCH", "DATA", "CREDIT", "RESULT", "STREAM", "STREAM_END", "ABORT", "BUSY", "ERROR", "PROBE",
    "UPGRADE", "WS_OP",
}  # fmt: skip
FROM_GATEWAY = {
    "OPEN", "PHASE", "DATA", "CREDIT", "ABORT", "ERROR", "CLOSE", "PROBE", "WS_OPEN", "WS_ERROR", "WS_CLOSED",
}  # fmt: skip
BATCH_BYTES = 64 * 1024


@dataclass
class Frame:
    """A frame and how it came."""

    name: str
    values: Values
    message: Message
    batched: bool = False

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def __str__(self) -> str:
        short = {key: value for key, value in self.values.items() if key not in ("session", "snapshot", "ext")}
        return f"{self.name} {shown(short)}"


def read(message: Message, allowed: set[str]) -> Iterator[Frame]:
    """The frames of a message; FailedError names the rule that it breaks."""
    try:
        name, values = decode(message.data)
    except RefusedError as error:
        raise FailedError(f"4.1: a frame that cannot be read ({error}): {message.data[:64].hex()}") from None
    if not is_smallest(message.data):
        raise FailedError(f"4.2: {name} is not in its smallest form: {message.data[:64].hex()}")
    if name != "BATCH":
        if name not in allowed:
            raise FailedError(f"4.9: {name} is not for this direction")
        yield Frame(name, values, message, message.batched)
        return
    if len(message.data) > BATCH_BYTES:
        raise FailedError(f"4.12: a BATCH of {len(message.data)} bytes")
    for inner in values["frames"]:
        for frame in read(message.with_data(inner), allowed - {"BATCH", "BEAT"}):
            frame.batched = True
            yield frame
