"""The gateway's view of a VoiceSession: parsing, JSON for callers, errors for waiting requests."""

from dataclasses import dataclass

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition, find_condition, is_condition_true
from voicesession_common.api.reasons import ConditionType, EndReason, SessionPhase
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voicesession import VoiceSession

from voicesession_gateway.errors import ApiError, ErrorCode

NO_STATUS = "the operator has not reported a status yet"


@dataclass(frozen=True)
class SessionRecord:
    """A VoiceSession with the labels that the gateway set.

    `created_version` is the resourceVersion at creation, or the first known one. It orders sessions equally in all
    replicas.
    """

    session: VoiceSession
    version: int
    created_version: int
    caller: str
    user: str
    conversation: str

    @classmethod
    def parse(cls, raw: JsonObject, created_version: int = 0, agent_spec: JsonObject | None = None) -> "SessionRecord":
        """Parse the API server's JSON; `created_version` 0 stands for the object's current version."""
        labels, version = raw["metadata"].get("labels") or {}, int(raw["metadata"]["resourceVersion"])
        return cls(
            session=VoiceSession.parse(raw, agent_spec),
            version=version,
            created_version=created_version or version,
            caller=labels.get(constants.CALLER_LABEL, ""),
            user=labels.get(constants.USER_LABEL, ""),
            conversation=labels.get(constants.CONVERSATION_LABEL, ""),
        )

    @property
    def name(self) -> str:
        """Return the session's name."""
        return self.session.name

    @property
    def uid(self) -> str:
        """Return the session's UID."""
        return self.session.uid

    @property
    def room(self) -> str:
        """Return the name of the LiveKit room, empty before it exists."""
        return self.session.status.room_name

    @property
    def finished(self) -> Condition | None:
        """Return the Finished condition if it is true."""
        found = find_condition(self.session.status.conditions, ConditionType.FINISHED)
        return found if found and found.status == "True" else None

    @property
    def is_live(self) -> bool:
        """Return True if humans may still join."""
        return not (self.session.deleting or self.session.end or self.finished)

    @property
    def is_ready(self) -> bool:
        """Return True if the session is live and its Ready condition is true."""
        return self.is_live and is_condition_true(self.session.status.conditions, ConditionType.READY)


def to_json(record: SessionRecord) -> JsonObject:
    """Return the JSON of the session API; times are RFC 3339, or null for events that have not happened."""
    session, status = record.session, record.session.status
    condition = record.finished or blocking_condition(record) or find_condition(status.conditions, ConditionType.READY)
    return {
        "name": session.name,
        "agent": session.agent_ref,
        "phase": str(status.phase),
        "reason": str(condition.reason) if condition else "",
        "message": condition.message if condition else "",
        "humans": status.humans,
        "resets": status.resets,
        "room": {"name": status.room_name},
        "endReason": str(status.end_reason) or None,
        "createdAt": to_rfc3339(session.created_at),
        "readyAt": None if status.ready_at is None else to_rfc3339(status.ready_at),
    }


def deleted_to_json(record: SessionRecord) -> JsonObject:
    """Return the JSON of a deleted session: finished, with `Requested` as the default end reason."""
    phase = str(SessionPhase.FINISHED)
    changes = {"phase": phase, "reason": "Deleted", "message": "The session was deleted", "humans": 0}
    end_reason = str(record.session.status.end_reason or EndReason.REQUESTED)
    return to_json(record) | changes | {"endReason": end_reason}


def blocking_condition(record: SessionRecord) -> Condition | None:
    """Return the first condition that keeps the session from being Ready, RoomReady before AgentJoined."""
    conditions = record.session.status.conditions
    required = (find_condition(conditions, kind) for kind in (ConditionType.ROOM_READY, ConditionType.AGENT_JOINED))
    return next((c for c in required if c and c.status != "True"), None)


def ended_error(record: SessionRecord, blocked_by: Condition | None) -> ApiError:
    """Return the error for a session that has ended; `blocked_by` is the last condition that was not met."""
    finished, session = record.finished, record.session
    reason = str(session.status.end_reason or (finished.reason if finished else EndReason.REQUESTED))
    code = ErrorCode.SESSION_NOT_READY if reason == EndReason.START_DEADLINE else ErrorCode.SESSION_ENDED
    message = finished.message if finished and finished.message else "The session has ended"
    return ApiError(code, f"{message}{_describe(blocked_by)}", reason, retry_after=1.0)


def not_ready_error(record: SessionRecord, seconds: float) -> ApiError:
    """Return the error for a session whose agent did not join within `seconds`."""
    blocked_by = blocking_condition(record)
    message = f"not Ready after {seconds:.0f} s{_describe(blocked_by) or f' ({NO_STATUS})'}"
    reason = str(blocked_by.reason) if blocked_by else ""
    return ApiError(ErrorCode.SESSION_NOT_READY, message, reason, retry_after=1.0)


def _describe(condition: Condition | None) -> str:
    return f" ({condition.reason}: {condition.message})" if condition else ""
