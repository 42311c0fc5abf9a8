"""The LiveKit room: its condition, its creation, and deadlines that only count while LiveKit answers."""

from dataclasses import replace
from typing import Final

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition
from voicesession_common.api.reasons import ConditionType, EndReason, Reason
from voicesession_common.api.voicesession import Outage, Status, VoiceSession

from voicesession_operator.domain.actions import CreateRoom, Deadline, EndOfSession
from voicesession_operator.domain.naming import room_metadata
from voicesession_operator.domain.observed import Config, Observed, Room, RoomUnknown

TRIAL_SECONDS: Final = 60.0
"""Longest time for which an operator watches a session itself before it gives up a start, a visit or a room."""
UNREADABLE_SECONDS: Final = 60.0
"""Time after which a room that LiveKit lists, but whose participants it cannot list, counts as lost.

A server that restarts or is overloaded answers again before. The server of a lost node never does: Redis keeps its
rooms, and LiveKit moves a room to another node only when it is created again or somebody joins it.
"""
MAX_OUTAGES: Final = 8
"""Stored outages; older ones are merged."""


def observe_room(status: Status, observed: Observed, now: float) -> Status:
    """Return the status with the room's SID, RoomReady and the outages."""
    sid = observed.room.sid if isinstance(observed.room, Room) else status.room_sid
    condition = _condition(observed, now)
    conditions = set_condition(status.conditions, condition, now)
    return replace(status, room_sid=sid, conditions=conditions, outages=_outages(status, condition, now))


def _outages(status: Status, condition: Condition, now: float) -> tuple[Outage, ...]:
    """Return the outages with the one that is over now, if any. Before Ready no clock pauses."""
    before = find_condition(status.conditions, ConditionType.ROOM_READY)
    if status.ready_at is None or before is None or before.status in ("True", condition.status):
        return status.outages
    return _limit_outages((*status.outages, Outage(before.since, max(before.since, now))))


def _limit_outages(outages: tuple[Outage, ...]) -> tuple[Outage, ...]:
    """Merge the two oldest outages if there are too many; a clock older than both still pauses for their sum."""
    if len(outages) <= MAX_OUTAGES:
        return outages
    first, second, *rest = outages
    return (Outage(second.since - (first.until - first.since), second.until), *rest)


def room_actions(
    session: VoiceSession, status: Status, observed: Observed, now: float, config: Config
) -> tuple[CreateRoom, ...]:
    """Create the room if LiveKit answers that it does not exist, also if it was lost during a call."""
    if observed.room is not None and not _is_unreadable(observed, now):
        return ()
    metadata = room_metadata(session, config.installation_id)
    return (CreateRoom(status.room_name, metadata, session.max_participants),)


def room_lost(session: VoiceSession, status: Status, observed: Observed) -> tuple[Deadline, ...]:
    """End the session if the room was lost and cannot be created again; an outage of LiveKit does not count.

    The deadline exists only after a failed try, so that an operator that was down tries once before it gives up. A room
    stays unreadable only if it could not be created again on another node.
    """
    room, failure = find_condition(status.conditions, ConditionType.ROOM_READY), observed.failure_of(CreateRoom)
    if status.ready_at is None or room is None or room.status != "False":
        return ()
    if failure is None and room.reason != Reason.ROOM_UNREADABLE:
        return ()
    seconds = session.limits.start_seconds
    message = f"The room was lost and could not be created again within startSeconds ({seconds:g}): {room.message}"
    end = EndOfSession(EndReason.ROOM_LOST, message)
    return (Deadline(room.since + seconds, end, min(seconds, TRIAL_SECONDS)),)


def _is_unreadable(observed: Observed, now: float) -> bool:
    """Return True if the room is lost although LiveKit lists it.

    It is not while a pod reports that its job is in the room: then its node lives, and only the answers get lost.
    """
    room = observed.room
    if not isinstance(room, RoomUnknown) or room.unreadable_since is None:
        return False
    is_agent_inside = any(state.participant_sid for state in observed.pod_states.values())
    return not is_agent_inside and now - room.unreadable_since >= UNREADABLE_SECONDS


def _condition(observed: Observed, now: float) -> Condition:
    if isinstance(observed.room, Room):
        return Condition(ConditionType.ROOM_READY, "True", Reason.ROOM_CREATED, "The room exists")
    if _is_unreadable(observed, now):
        message = f"LiveKit lists the room, but not its participants for {UNREADABLE_SECONDS:g} s"
        return Condition(ConditionType.ROOM_READY, "False", Reason.ROOM_UNREADABLE, message)
    if isinstance(observed.room, RoomUnknown):
        return Condition(ConditionType.ROOM_READY, "Unknown", observed.room.reason, observed.room.message)
    failure = observed.failure_of(CreateRoom)
    if failure:
        return Condition(ConditionType.ROOM_READY, "False", failure.reason, failure.message)
    return Condition(ConditionType.ROOM_READY, "False", Reason.ROOM_CREATING, "The room is being created")


def due_at(status: Status, since: float | None, seconds: float) -> float | None:
    """Return the time `seconds` after `since`, without the outages of LiveKit since then; None during an outage."""
    if since is None or not is_condition_true(status.conditions, ConditionType.ROOM_READY):
        return None
    paused = sum(max(outage.until - max(outage.since, since), 0.0) for outage in status.outages)
    return since + paused + seconds
