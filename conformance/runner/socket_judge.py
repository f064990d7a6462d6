"""What holds for the frames of a WebSocket in every case (14.3 to 14.5, 14.9, 14.10)."""

from dataclasses import dataclass, field

from .cases import FailedError
from .reading import Frame

MESSAGE = ("Text", "Binary")
CLOSE, JOIN, LEAVE = 303, 310, 311


@dataclass
class SocketTalk:
    """A session's WebSocket: `asked` by UPGRADE, `open` by WS_OPEN, `failed` by WS_ERROR, `closed` by WS_CLOSED."""

    state: str = "asked"
    connection: int = -1
    # kind of the message that is not whole yet, in each direction
    midway: dict[str, str] = field(default_factory=dict[str, str])
    calls: set[int] = field(default_factory=set[int])
    waiting: list[int] = field(default_factory=list[int])

    def from_worker(self, frame: Frame) -> None:
        """Judge a frame of a worker while the phase is a WebSocket's."""
        match frame.name:
            case "CREDIT" | "ABORT" | "PROBE":
                return
            case "RESULT" if self.state == "closed":
                if frame["ops"] or frame["action"] != "End":
                    raise FailedError(f"14.10: {frame} behind a websocket")
            case _ if self.state == "asked":
                raise FailedError(f"14.3: {frame} before UPGRADE was answered")
            case "DATA":
                self._piece(frame, "worker")
            case "WS_OP":
                self.operation(frame)
            case "FETCH":
                pass
            case "RESULT" | "ERROR":
                raise FailedError(f"14.10: {frame} before WS_CLOSED")
            case _:
                raise FailedError(f"14.3: {frame} in a websocket")

    def operation(self, frame: Frame) -> None:
        """Take an operation down; those that are answered wait, and their ids are never used again (12.4)."""
        if frame["operation"]["number"] in (CLOSE, LEAVE):
            return
        if frame["call_id"] in self.calls or frame["call_id"] == self.connection:
            raise FailedError(f"12.4: call id {frame['call_id']} is used again")
        self.calls.add(frame["call_id"])
        self.waiting.append(frame["call_id"])

    def from_gateway(self, frame: Frame) -> bool:
        """Judge a frame of a gateway; whether it was about the WebSocket."""
        match frame.name:
            case "WS_OPEN":
                if self.state != "asked":
                    raise FailedError(f"14.3: {frame}, but the websocket is {self.state}")
                self.state, self.connection = "open", frame["connection_id"]
            case "DATA" if frame["id"] in self.waiting:
                if frame["bytes"] or frame["more"] or frame["kind"] != "Body":
                    raise FailedError(f"14.5: {frame} answers a WS_OP")
                self.waiting.remove(frame["id"])
            case "DATA" if frame["kind"] in MESSAGE:
                if self.state != "open":
                    raise FailedError(f"14.9: {frame}, but the websocket is {self.state}")
                self._piece(frame, "gateway")
            case "ERROR" if frame["call_id"] in self.waiting:
                self.waiting.remove(frame["call_id"])
            case "WS_ERROR":
                if self.state != "open":
                    raise FailedError(f"14.10: {frame}, but the websocket is {self.state}")
                self.state = "failed"
            case "WS_CLOSED":
                if self.state not in ("open", "failed"):
                    raise FailedError(f"14.10: {frame}, but the websocket is {self.state}")
                if self.state == "open" and "gateway" in self.midway:
                    raise FailedError(f"14.9: {frame} in the middle of a message")
                self.state = "closed"
            case _:
                if self.state == "failed" and frame.name != "PROBE":
                    raise FailedError(f"14.10: {frame} between WS_ERROR and WS_CLOSED")
                return False
        return True

    def _piece(self, frame: Frame, side: str) -> None:
        if frame["kind"] not in MESSAGE or frame["id"] != self.connection:
            raise FailedError(f"14.9: DATA of kind {frame['kind']}, id {frame['id']} in websocket {self.connection}")
        if self.midway.get(side, frame["kind"]) != frame["kind"]:
            raise FailedError(f"14.9: a piece of kind {frame['kind']} in a message of kind {self.midway[side]}")
        if frame["more"]:
            self.midway[side] = frame["kind"]
        else:
            self.midway.pop(side, None)
