"""Kubernetes events: one for each change between the stored and the new status, so that retries emit none."""

from typing import Final

from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.constants import AT_ANNOTATION
from voicesession_common.api.reasons import Action, ConditionType, EndReason, Reason, ResetOutcome
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import Event

CONDITIONS_WITH_EVENTS: Final = (
    ConditionType.ROOM_READY,
    ConditionType.AGENT_JOINED,
    ConditionType.AGENT_HEALTHY,
    ConditionType.MEMORY_READY,
)
EXPECTED_REASONS: Final = frozenset(
    {
        Reason.ROOM_CREATING,
        Reason.STARTING,
        Reason.RESETTING,
        Reason.AGENT_ABSENT,
        Reason.POD_LOST,
        Reason.FINISHED,
    }
)
"""Reasons of a condition that is not True although there is no problem, or with a more precise event."""
PLANNED_ENDS: Final = frozenset(
    {
        EndReason.LAST_HUMAN_LEFT,
        EndReason.NOBODY_CAME,
        EndReason.IDLE,
        EndReason.MAX_DURATION,
        EndReason.REQUESTED,
        EndReason.AGENT_ENDED,
    }
)


def events_between(session: VoiceSession, seen: Status, new: Status) -> tuple[Event, ...]:
    """Return the events of a change from the stored status; `seen` is the new status before any decision.

    A step that the status keeps has no event: Ready, the first human, and the leave that a Teardown follows.
    """
    old = session.status
    return (
        *_condition_events(old, new),
        *_replacement_events(old, new),
        *_refused_request_events(old, new),
        *_human_events(session, seen),
        *_reset_events(old, new),
        *_finished_events(old, new),
    )


def _condition_events(old: Status, new: Status) -> tuple[Event, ...]:
    changed = [
        (find_condition(old.conditions, kind), find_condition(new.conditions, kind)) for kind in CONDITIONS_WITH_EVENTS
    ]
    return tuple(
        Event("Warning", str(after.reason), after.message)
        for before, after in changed
        if after is not None and _is_new_problem(before, after)
    )


def _is_new_problem(before: Condition | None, after: Condition) -> bool:
    if after.status == "True" or after.reason in EXPECTED_REASONS:
        return False
    if after.type == ConditionType.AGENT_JOINED and after.status == "Unknown":
        return False  # RoomReady reports the same problem.
    return before is None or before.reason != after.reason


def _replacement_events(old: Status, new: Status) -> tuple[Event, ...]:
    events = []
    if old.room_sid and new.room_sid != old.room_sid:
        message = f"Room {new.room_name} was lost and created again"
        events.append(Event("Warning", str(Reason.ROOM_RECREATED), message))
    if new.replacements > old.replacements:
        pod = new.next_pod or new.agent_pod or "the next one"
        message = f"A pod of the agent was lost; {pod} is replacement {new.replacements}"
        events.append(Event("Warning", str(Reason.AGENT_REPLACED), message))
    return tuple(events)


def _refused_request_events(old: Status, new: Status) -> tuple[Event, ...]:
    if not new.refused_request or new.refused_request == old.refused_request:
        return ()
    problem = "no RFC 3339 time such as 2026-01-31T12:00:00Z; there is no reset"
    message = f'Annotation {constants.RESET_REQUESTED_AT_ANNOTATION}: "{new.refused_request}" is {problem}'
    return (Event("Warning", str(Reason.RESET_REQUEST_INVALID), message),)


def _human_events(session: VoiceSession, seen: Status) -> tuple[Event, ...]:
    """Return the events of joins and leaves; a visit that only the agent has seen has only the leave."""
    old, count = session.status, f"Humans in the room: {seen.humans}"
    if seen.humans > old.humans:
        is_first = seen.humans == 1 and old.first_human_at is None
        return () if is_first else (Event("Normal", str(Reason.HUMAN_JOINED), count + _absence(old)),)
    just_left = old.last_human_left_at is None and seen.last_human_left_at is not None
    if seen.humans == old.humans and not just_left:
        return ()
    if just_left and session.on_last_human_left.action == Action.TEARDOWN:
        return ()
    reason = f"; the last one left ({seen.last_human_left_reason})" if seen.last_human_left_reason else ""
    return (Event("Normal", str(Reason.HUMAN_LEFT), count + reason, _event_time(seen.last_human_left_at)),)


def _absence(old: Status) -> str:
    """Return the part of a return's message about the leave, whose time the status no longer has."""
    if old.last_human_left_at is None:
        return ""
    return f"; the last one had left at {to_rfc3339(old.last_human_left_at)} ({old.last_human_left_reason})"


def _event_time(at: float | None) -> tuple[tuple[str, float], ...]:
    """Return the annotation with the time from the status, so that both show one time for one event."""
    return () if at is None else ((AT_ANNOTATION, at),)


def _reset_events(old: Status, new: Status) -> tuple[Event, ...]:
    events = []
    last = new.last_reset
    if old.next_pod and new.agent_pod == old.next_pod:
        events.append(Event("Normal", str(Reason.RECYCLED), f"Pod {new.agent_pod} has taken over"))
    if last is None or last == old.last_reset:
        return tuple(events)
    subject = f"Reset {new.resets} ({last.cause})"
    if last.outcome == ResetOutcome.ESCALATED and last.completed_at is None:
        events.append(Event("Warning", str(Reason.RESET_ESCALATED), f"{subject} took too long; the pod is replaced"))
    if last.completed_at is not None:
        place = "" if last.outcome == ResetOutcome.COMPLETE else ", in another pod"
        message = f"{subject} complete after {last.completed_at - last.started_at:.2f} s{place}"
        events.append(Event("Normal", str(Reason.RESET_COMPLETE), message))
    return tuple(events)


def _finished_events(old: Status, new: Status) -> tuple[Event, ...]:
    finished = find_condition(new.conditions, ConditionType.FINISHED)
    if old.finished_at is not None or new.finished_at is None or finished is None:
        return ()
    kind = "Normal" if new.end_reason in PLANNED_ENDS else "Warning"
    return (Event(kind, str(Reason.FINISHED), f"{finished.reason}: {finished.message}"),)
