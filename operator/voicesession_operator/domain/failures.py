"""What did not work in this pass: shown as a condition, and not tried again before the next pass."""

from typing import Final

from voicesession_operator.domain.actions import Action
from voicesession_operator.domain.observed import Failure, Observed

RETRY_SECONDS: Final = 2.0
"""Until an action that failed is tried again, unless trying again cannot help."""


def failure_of(observed: Observed, kind: type[Action]) -> Failure | None:
    """The failure of an action of this kind; `Failure.action` is the action's class name."""
    return next((failure for failure in observed.failures if failure.action == kind.__name__), None)


def without_failed(actions: tuple[Action, ...], observed: Observed) -> tuple[Action, ...]:
    """Leave out what has just failed, so that the rounds of one pass come to rest."""
    failed = {failure.action for failure in observed.failures}
    return tuple(action for action in actions if type(action).__name__ not in failed)


def retry_after(observed: Observed, poll_seconds: float) -> float | None:
    """Seconds until the next try; None when nothing failed."""
    if not observed.failures:
        return None
    return poll_seconds if all(failure.terminal for failure in observed.failures) else RETRY_SECONDS
