"""Doing the steps of a case one after the other."""

from collections.abc import Awaitable, Callable

from .cases import Case, CaseError, FailedError, Step

Verbs = dict[str, Callable[[Step], Awaitable[None]]]


async def play(case: Case, verbs: Verbs, violations: list[str]) -> None:
    """FailedError names the step at which the testee does otherwise, or after which it had broken a rule."""
    for number, step in enumerate(case.steps, 1):
        verb = next(iter(step))
        if verb not in verbs:
            raise CaseError(f"{case.id}: step {number}: nobody knows '{verb}'")
        try:
            await verbs[verb](step)
            if violations:
                raise FailedError(violations[0])
        except FailedError as error:
            raise FailedError(f"step {number} ({verb} {step[verb]}): {error}") from None
