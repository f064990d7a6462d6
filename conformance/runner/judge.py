"""What holds for every frame in every case: encodings, order, generation, credit, nothing after the end."""

from dataclasses import dataclass, field

from .cases import FailedError
from .frames import TABLE, Values
from .reading import Frame
from .socket_judge import SocketTalk

PHASES = ["RequestFilter", "ResponseFilter", "ResponseBodyFilter", "Logging"]
CODES = {one["name"] for one in TABLE["failures"]["values"]}


def bit(phase: str) -> int:
    """The bit of a phase in a mask."""
    return 1 << PHASES.index(phase)


def cost(data: bytes) -> int:
    """What a DATA frame costs of the credit (12.5)."""
    return max(len(data), 256)


@dataclass
class Talk:
    """One session as the judge follows it: what the testee has said in it and what it may still say."""

    session: bytes
    generation: int
    label: str = ""
    next_seq: int = 0
    phase_seq: int = 0
    phase: str = "RequestFilter"
    credit: int = 32768
    mask: int | None = None
    worker: str = ""
    over: str = ""
    # the running phase may follow once more (9.6)
    again: bool = False
    ran: list[str] = field(default_factory=list[str])
    answered: set[int] = field(default_factory=set[int])
    calls: set[int] = field(default_factory=set[int])
    # what a worker has fetched and not had to its end, and the id of its stream while that is open
    asked_for: list[int] = field(default_factory=list[int])
    stream: int | None = None
    streams: set[int] = field(default_factory=set[int])
    # from UPGRADE until the phase is over, or the gateway has refused
    socket: SocketTalk | None = None
    accepted: bool = False
    # a session that is over was asked for again: ABORT(stale) answers that (3.3)
    asked: bool = False
    direct: bool = False
    # what the first frame said of the worker, whichever frame that was
    first: Values | None = None

    def common(self, frame: Frame) -> None:
        """Generation, order, end."""
        if frame["generation"] != self.generation and frame.name != "ABORT":
            raise FailedError(f"3.2: {frame} has not the generation {self.generation} of its session")
        if self.over and not (self.asked and frame.name == "ABORT"):
            raise FailedError(f"3.5: {frame} after the session was over by {self.over}")
        if frame.name in ("ABORT", "BUSY"):
            return
        if frame["seq"] != self.next_seq:
            raise FailedError(f"6.1: {frame} has number {frame['seq']}, expected {self.next_seq}")
        if frame.name != "PROBE":
            self.next_seq += 1

    def pay(self, frame: Frame, max_payload: int) -> None:
        """DATA within credit and in pieces that are not too large."""
        size = len(frame["bytes"])
        if size > min(max_payload - 4096, 128 * 1024):
            raise FailedError(f"12.3: a piece of {size} bytes")
        self.credit -= cost(frame["bytes"])
        if self.credit < 0:
            raise FailedError(f"12.5: DATA of {size} bytes, {-self.credit} beyond the credit")

    def from_worker(self, frame: Frame, max_payload: int) -> None:
        """Judge a frame of a worker."""
        self.common(frame)
        if frame.name == "PROBE":
            return
        self._first(frame)
        if frame.name not in ("CREDIT", "ABORT", "BUSY"):
            if frame["phase_seq"] != self.phase_seq:
                raise FailedError(f"6.4: {frame} names phase run {frame['phase_seq']}, expected {self.phase_seq}")
            if self.phase_seq in self.answered:
                raise FailedError(f"13.7: {frame} after the phase was answered")
        if self.socket is not None:
            self.socket.from_worker(frame)
        match frame.name:
            case "DATA":
                self.pay(frame, max_payload)
                if self.socket is None:
                    self._piece(frame)
            case "UPGRADE":
                self._upgrade(frame)
            case "FETCH":
                if frame["call_id"] in self.calls | self.streams:
                    raise FailedError(f"12.4: call id {frame['call_id']} is used again")
                self.calls.add(frame["call_id"])
                self.asked_for.append(frame["call_id"])
            case "RESULT":
                self._result(frame)
            case "STREAM":
                self._stream(frame)
            case "STREAM_END":
                if self.stream is None:
                    raise FailedError("14.1: STREAM_END without a stream")
                self.stream = None
                self._phase_over("STREAM_END of its last phase", again=False)
            case "ERROR":
                if frame["code"] not in CODES:
                    raise FailedError(f"15.5: {frame} has a code that nobody knows")
                if frame["call_id"] is None:
                    if self.stream is not None:
                        raise FailedError(f"14.2: {frame} where STREAM_END(abort) is due")
                    self.over = "ERROR"
            case "ABORT" | "BUSY":
                self.over = frame.name
            case _:
                pass

    def _first(self, frame: Frame) -> None:
        if frame.name in ("ABORT", "BUSY"):
            if frame.name == "BUSY" and self.accepted:
                raise FailedError(f"15.2: {frame} after the open was accepted")
            return
        first = frame.values.get("first")
        if not self.accepted:
            if first is None:
                raise FailedError(f"9.1: {frame} is the first frame and does not say who answers")
            self.first = first
            self.accepted, self.mask, self.worker = True, first["mask"], first["worker"]
            if first["mask"] & ~15:
                raise FailedError(f"9.1: the mask {first['mask']} has bits of no phase")
        elif first is not None:
            raise FailedError(f"9.1: {frame} carries 'first' again")
        elif frame.name == "ACCEPT":
            raise FailedError("15.1: ACCEPT is not the first frame")

    def _stream(self, frame: Frame) -> None:
        streaming = self.first is not None and self.first["body_mode"] == "Streaming"
        if self.phase != "RequestFilter" and not (self.phase == "ResponseBodyFilter" and streaming):
            raise FailedError(f"14.1: {frame} in {self.phase}")
        if self.stream is not None:
            raise FailedError(f"14.1: {frame} in a stream")
        if frame["stream_id"] in self.calls | self.streams:
            raise FailedError(f"12.4: stream id {frame['stream_id']} is used again")
        if bodies := [one for one in frame["ops"] if one["number"] == 103]:
            raise FailedError(f"14.1: STREAM with the operations {bodies}")
        self.stream = frame["stream_id"]
        self.streams.add(frame["stream_id"])

    def _upgrade(self, frame: Frame) -> None:
        if self.phase != "RequestFilter" or self.stream is not None:
            raise FailedError(f"14.3: {frame} in {self.phase}, stream {self.stream}")
        if wrong := [one for one in frame["ops"] if one["number"] not in (100, 101, 410)]:
            raise FailedError(f"14.3: UPGRADE with the operations {wrong}")
        self.socket = SocketTalk()

    def _piece(self, frame: Frame) -> None:
        """A piece of a stream, or of a body that goes ahead of its RESULT."""
        if (frame["kind"] == "Stream") != (self.stream is not None):
            raise FailedError(f"14.1: DATA of kind {frame['kind']} with the stream {self.stream}")
        if self.stream is not None and (frame["id"] != self.stream or not frame["more"]):
            raise FailedError(f"14.1: DATA with id {frame['id']}, more {frame['more']} in the stream {self.stream}")

    def _phase_over(self, why: str, *, again: bool) -> None:
        self.answered.add(self.phase_seq)
        self.asked_for.clear()
        self.socket = None
        assert self.mask is not None
        if not again and not any(self.mask & bit(phase) for phase in PHASES[PHASES.index(self.phase) + 1 :]):
            self.over = why

    def _result(self, frame: Frame) -> None:
        if self.stream is not None:
            raise FailedError(f"14.1: {frame} where STREAM_END is due")
        if self.phase == "Logging":
            raise FailedError("9.5: RESULT in the logging phase")
        if frame["action"] == "End" and self.phase != "RequestFilter":
            raise FailedError(f"13.4: 'end' in {self.phase}")
        for operation in frame["ops"]:
            number = operation["number"]
            if number in (400, 401, 402) and self.phase != "RequestFilter":
                raise FailedError(f"13.6: operation {number} in {self.phase}")
        self._phase_over("RESULT of its last phase", again=self.again)

    def from_gateway(self, frame: Frame, max_payload: int) -> None:
        """Judge a frame of a gateway after the OPEN."""
        self.common(frame)
        if not self.accepted and not self.direct:
            raise FailedError(f"3.4: {frame} before the worker's first frame")
        if self.socket is not None and self._in_socket(frame, max_payload):
            return
        match frame.name:
            case "PHASE":
                self._phase(frame)
            case "ABORT" | "CLOSE":
                # what answers a stale frame of ours ends nothing
                if frame["generation"] == self.generation:
                    self.over = frame.name
            case "DATA":
                self.pay(frame, max_payload)
                if frame["id"] not in self.asked_for or frame["kind"] != "Body":
                    raise FailedError(f"12.1: DATA of call {frame['id']}, kind {frame['kind']}: asked {self.asked_for}")
                if not frame["more"]:
                    self.asked_for.remove(frame["id"])
            case "ERROR":
                if frame["call_id"] not in self.asked_for:
                    raise FailedError(f"15.4: {frame} for a call that does not wait")
                self.asked_for.remove(frame["call_id"])
            case _:
                pass

    def _in_socket(self, frame: Frame, max_payload: int) -> bool:
        """Judge what a gateway says about a WebSocket; whether it was about one."""
        assert self.socket is not None
        if frame.name == "ERROR" and frame["call_id"] is None and self.socket.state == "asked":
            if frame["code"] != "not_websocket":
                raise FailedError(f"14.3: {frame} for UPGRADE")
            self.socket = None
            return True
        if frame.name == "DATA" and frame["kind"] != "Body":
            self.pay(frame, max_payload)
        return self.socket.from_gateway(frame)

    def _phase(self, frame: Frame) -> None:
        phase = frame["phase"]
        if frame["phase_seq"] != self.phase_seq + 1:
            raise FailedError(f"11.1: {frame} is run {frame['phase_seq']}, expected {self.phase_seq + 1}")
        if self.mask is not None and not self.mask & bit(phase):
            raise FailedError(f"9.3: {phase} is not in the mask {self.mask}")
        if PHASES.index(phase) < PHASES.index(self.phase):
            raise FailedError(f"3.6: {phase} after {self.phase}")
        if phase == self.phase and not self.again:
            raise FailedError(f"9.6: {phase} once more, without `again` in the frame before")
        if frame["more"]:
            raise FailedError("11.1: PHASE with more = true")
        if phase != "RequestFilter" and frame["response"] is None:
            raise FailedError(f"11.3: {phase} without a response")
        self.phase_seq, self.phase = frame["phase_seq"], phase
        self.again = frame["ext"].get("again") is True
        self.ran.append(phase)
        if phase == "Logging":
            self.over = "Logging"
