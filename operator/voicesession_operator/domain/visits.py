"""Events of people who come and go: how many are there now, never who."""

from voicesession_operator.api.names import AT_ANNOTATION
from voicesession_operator.api.reasons import Reason
from voicesession_operator.api.session import Status
from voicesession_operator.domain.actions import Event


def visits(old: Status, seen: Status) -> tuple[Event, ...]:
    """From the stored status to what was seen since; a visit that only the agent has seen is told when it is over."""
    count = f"Humans in the room: {seen.humans}"
    if seen.humans > old.humans:
        first = None if old.first_human_at == seen.first_human_at else seen.first_human_at
        return (Event("Normal", str(Reason.HUMAN_JOINED), count, _at(first)),)
    just_left = old.last_human_left_at is None and seen.last_human_left_at is not None
    if seen.humans == old.humans and not just_left:
        return ()
    how = f"; the last one left ({seen.last_human_left_reason})" if seen.last_human_left_reason else ""
    return (Event("Normal", str(Reason.HUMAN_LEFT), count + how, _at(seen.last_human_left_at)),)


def _at(moment: float | None) -> tuple[tuple[str, float], ...]:
    """The status tells the same moment: whoever reads both must not take them for two."""
    return () if moment is None else ((AT_ANNOTATION, moment),)
