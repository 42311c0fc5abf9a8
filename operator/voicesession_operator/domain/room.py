"""The LiveKit room: its condition, its creation, and deadlines that only count while LiveKit answers."""

from dataclasses import replace

from voicesession_common.api.conditions import Condition, find_condition, set_condition
from voicesession_common.api.reasons import ConditionType, EndReason, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import CreateRoom, Deadline, EndOfSession
from voicesession_operator.domain.config import Config
from voicesession_operator.domain.naming import room_metadata
from voicesession_operator.domain.observed import Observed, Room, RoomUnknown


def observe_room(status: Status, observed: Observed, now: float) -> Status:
    """Return the status with the room's SID and RoomReady."""
    sid = observed.room.sid if isinstance(observed.room, Room) else status.room_sid
    return replace(status, room_sid=sid, conditions=set_condition(status.conditions, _condition(observed), now))


def room_actions(session: VoiceSession, status: Status, observed: Observed, config: Config) -> tuple[CreateRoom, ...]:
    """Create the room if LiveKit answers that it does not exist, also if it was lost during a call."""
    if observed.room is not None:
        return ()
    metadata = room_metadata(session, config.installation_id)
    return (CreateRoom(status.room_name, metadata, session.max_participants),)


def room_lost(session: VoiceSession, status: Status, observed: Observed) -> tuple[Deadline, ...]:
    """End the session if the room was lost and cannot be created again; an outage of LiveKit does not count.

    The deadline exists only after a failed try, so that an operator that was down tries once before it gives up.
    """
    room, failure = find_condition(status.conditions, ConditionType.ROOM_READY), observed.failure_of(CreateRoom)
    if status.ready_at is None or room is None or room.status != "False" or failure is None:
        return ()
    seconds = session.limits.start_seconds
    message = f"The room was lost and could not be created again within startSeconds ({seconds:g}): {failure.message}"
    return (Deadline(room.since + seconds, EndOfSession(EndReason.ROOM_LOST, message)),)


def _condition(observed: Observed) -> Condition:
    if isinstance(observed.room, Room):
        return Condition(ConditionType.ROOM_READY, "True", Reason.ROOM_CREATED, "The room exists")
    if isinstance(observed.room, RoomUnknown):
        return Condition(ConditionType.ROOM_READY, "Unknown", observed.room.reason, observed.room.message)
    failure = observed.failure_of(CreateRoom)
    if failure:
        return Condition(ConditionType.ROOM_READY, "False", failure.reason, failure.message)
    return Condition(ConditionType.ROOM_READY, "False", Reason.ROOM_CREATING, "The room is being created")


def due_at(status: Status, since: float | None, seconds: float) -> float | None:
    """Return the time `seconds` after `since`, or after the end of a later LiveKit outage; None during an outage."""
    room = find_condition(status.conditions, ConditionType.ROOM_READY)
    if since is None or room is None or room.status != "True":
        return None
    return max(since, room.since) + seconds
