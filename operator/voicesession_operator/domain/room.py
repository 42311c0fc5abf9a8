"""The room: it is there, or it is made; what cannot be asked about is left alone."""

from dataclasses import replace

from voicesession_common.api.conditions import Condition, find, put
from voicesession_common.api.reasons import ConditionType, EndReason, Reason
from voicesession_common.api.voicesession import Status, VoiceSession

from voicesession_operator.domain.actions import CreateRoom, Deadline, EndOfSession
from voicesession_operator.domain.config import Config
from voicesession_operator.domain.naming import room_metadata
from voicesession_operator.domain.observed import Observed, Room, RoomUnknown


def observe_room(status: Status, observed: Observed, now: float) -> Status:
    """Take the room's SID and set RoomReady."""
    sid = observed.room.sid if isinstance(observed.room, Room) else status.room_sid
    return replace(status, room_sid=sid, conditions=put(status.conditions, _condition(observed), now))


def room_actions(session: VoiceSession, status: Status, observed: Observed, config: Config) -> tuple[CreateRoom, ...]:
    """Create the room when LiveKit says that it does not exist, also when it was lost mid-call."""
    if observed.room is not None:
        return ()
    metadata = room_metadata(session, config.installation_id)
    return (CreateRoom(status.room_name, metadata, session.max_participants),)


def room_lost(session: VoiceSession, status: Status, observed: Observed) -> tuple[Deadline, ...]:
    """A room that was there is gone, and every try to make it again fails; a LiveKit that is away loses nothing.

    Only after a try that has just failed: who was away for long, like an operator, tries before it gives up.
    """
    room, failure = find(status.conditions, ConditionType.ROOM_READY), observed.failure_of(CreateRoom)
    if status.ready_at is None or room is None or room.status != "False" or failure is None:
        return ()
    seconds = session.limits.start_seconds
    message = f"The room was lost and could not be made again within startSeconds ({seconds:g}): {failure.message}"
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
    """`seconds` after `since`, or after LiveKit could be asked again; None while it cannot."""
    room = find(status.conditions, ConditionType.ROOM_READY)
    if since is None or room is None or room.status != "True":
        return None
    return max(since, room.since) + seconds
