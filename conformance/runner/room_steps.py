"""Steps about rooms, as another gateway uses them: for the cases of a gateway."""

from .bus import Bus, Message, token
from .cases import FailedError, Step
from .match import shown
from .patience import until
from .socket_steps import SocketSteps, bytes_of
from .steps import Verbs

KINDS = {"text": 2, "binary": 3}


class RoomSteps:
    """The rooms of one case."""

    def __init__(self, bus: Bus, place: str, prefix: str, sockets: SocketSteps) -> None:
        self.bus, self.place, self.prefix, self.sockets = bus, place, prefix, sockets
        self.rooms: dict[str, list[Message]] = {}

    def verbs(self) -> Verbs:
        """Every verb about rooms."""
        return {
            "hall": self.hall, "room_says": self.room_says, "room_hears": self.room_hears,
            "room_feeds": self.room_feeds,
        }  # fmt: skip

    async def hall(self, step: Step) -> None:
        """`{ hall = "name" }`: listen on a room's subject, as another gateway does."""
        into = self.rooms.setdefault(step["hall"], [])
        await self.bus.subscribe(self._room(step["hall"]), into.append)

    async def room_says(self, step: Step) -> None:
        """`{ room_says = "name", data = "…" }`: speak to a room, as another gateway does."""
        data = bytes([step.get("byte", KINDS[step.get("kind", "text")])]) + bytes_of(step)
        for _ in range(step.get("times", 1)):
            await self.bus.publish(self._room(step["room_says"]), data)

    async def room_feeds(self, step: Step) -> None:
        """`{ room_feeds = "name", to = "c", size = …, times = … }`: the same, no faster than one member takes it."""
        for _ in range(step["times"]):
            await self.room_says({"room_says": step["room_feeds"], "kind": "binary", "size": step["size"]})
            await self.sockets.hears({"hears": step["to"], "kind": "binary", "length": step["size"]})

    async def room_hears(self, step: Step) -> None:
        """`{ room_hears = "name", data = "…" }`: the next message on its subject."""
        into = self.rooms[step["room_hears"]]
        message = await until(lambda: into.pop(0) if into else None, 3)
        wanted = bytes([KINDS[step.get("kind", "text")]]) + bytes_of(step)
        if message is None or message.data != wanted:
            raise FailedError(f"14.12: expected {shown(wanted)} on the room's subject, seen {shown(message)}")

    def _room(self, name: str) -> str:
        return f"{self.prefix}.v1.room.{token(self.place)}.{token(name)}"
