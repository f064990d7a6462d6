"""One case of a plugin behind a real gateway: only HTTP is looked at, and what the plugin itself tells."""

from typing import Any

from .cases import Case, FailedError, Step
from .client_steps import ClientSteps
from .match import differs, shown
from .patience import until
from .programs import Program
from .steps import Verbs, play
from .web import Upstream


class PluginSide:
    """Plays the clients. `teller` is the process whose output has the notes of the plugin."""

    def __init__(self, case: Case, place: str, address: str, upstream: Upstream, teller: Program) -> None:
        self.case, self.place, self.teller = case, place, teller
        self.client = ClientSteps(place, address, upstream)
        self._looked: set[int] = set()

    async def run(self) -> None:
        """Do the steps; FailedError when the plugin or the gateway does otherwise."""
        verbs: Verbs = {"note": self.note, "no_note": self.no_note, **self.client.verbs()}
        try:
            await play(self.case, verbs, [])
        finally:
            self.client.quit()

    def _notes(self) -> list[dict[str, Any]]:
        mine = [one for one in self.teller.notes if one.get("host") == f"{self.place}.test"]
        return [one for one in mine if id(one) not in self._looked]

    async def note(self, step: Step) -> None:
        """`{ note = { phase = "logging" } }`: the plugin has told this, in any order."""

        def find() -> dict[str, Any] | None:
            return next((one for one in self._notes() if differs(step["note"], one) is None), None)

        found = await until(find, step.get("within", 3000) / 1000)
        if found is None:
            raise FailedError(f"expected a note {step['note']}, seen {shown(self._notes())}")
        self._looked.add(id(found))

    async def no_note(self, step: Step) -> None:
        """`{ no_note = { phase = "logging" } }`: it has not told this yet, nor does within so many ms."""

        def find() -> dict[str, Any] | None:
            return next((one for one in self._notes() if differs(step["no_note"], one) is None), None)

        if found := await until(find, step.get("within", 100) / 1000, patience=1):
            raise FailedError(f"expected no note {step['no_note']}, seen {shown(found)}")
