"""A VoiceSession as the gateway looks at it, what callers are shown of it, and what waiting for it comes to."""

from dataclasses import dataclass
from typing import Any

from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition, find_condition, is_condition_true
from voicesession_common.api.reasons import ConditionType, EndReason, SessionPhase
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voicesession import VoiceSession

from voicesession_gateway.errors import Kind, Refusal

Object = dict[str, Any]
View = dict[str, Any]

NOTHING_SAID = "the operator has not said anything about it yet"


@dataclass(frozen=True)
class Record:
    """`born` is the resourceVersion at its creation, or the first one known: it orders sessions for all replicas."""

    session: VoiceSession
    version: int
    born: int
    caller: str
    user: str
    conversation: str

    @classmethod
    def parse(cls, raw: Object, born: int = 0, agent_spec: Object | None = None) -> "Record":
        """From the API server's JSON; `born` 0 takes the object's own version."""
        labels, version = raw["metadata"].get("labels") or {}, int(raw["metadata"]["resourceVersion"])
        return cls(
            session=VoiceSession.parse(raw, agent_spec),
            version=version,
            born=born or version,
            caller=labels.get(constants.CALLER_LABEL, ""),
            user=labels.get(constants.USER_LABEL, ""),
            conversation=labels.get(constants.CONVERSATION_LABEL, ""),
        )

    @property
    def name(self) -> str:
        return self.session.name

    @property
    def uid(self) -> str:
        return self.session.uid

    @property
    def room(self) -> str:
        return self.session.status.room_name

    @property
    def finished(self) -> Condition | None:
        """The condition, once the session is over."""
        found = find_condition(self.session.status.conditions, ConditionType.FINISHED)
        return found if found and found.status == "True" else None

    @property
    def is_live(self) -> bool:
        """Whether somebody may still join it."""
        return not (self.session.deleting or self.session.end or self.finished)

    @property
    def is_ready(self) -> bool:
        return self.is_live and is_condition_true(self.session.status.conditions, ConditionType.READY)


def view(record: Record) -> View:
    """What the session API shows; times are RFC 3339, null while they have not happened."""
    session, status = record.session, record.session.status
    told = record.finished or lacking(record) or find_condition(status.conditions, ConditionType.READY)
    return {
        "name": session.name,
        "agent": session.agent_ref,
        "phase": str(status.phase),
        "reason": str(told.reason) if told else "",
        "message": told.message if told else "",
        "humans": status.humans,
        "resets": status.resets,
        "room": {"name": status.room_name},
        "endReason": str(status.end_reason) or None,
        "createdAt": to_rfc3339(session.created_at),
        "readyAt": None if status.ready_at is None else to_rfc3339(status.ready_at),
    }


def gone_view(record: Record) -> View:
    """Of a session that was deleted: like one that was asked to end."""
    told = {"phase": str(SessionPhase.FINISHED), "reason": "Deleted", "message": "The session was deleted", "humans": 0}
    return view(record) | told | {"endReason": str(record.session.status.end_reason or EndReason.REQUESTED)}


def lacking(record: Record) -> Condition | None:
    """The first condition that keeps the session from being Ready, RoomReady before AgentJoined."""
    conditions = record.session.status.conditions
    wanted = (find_condition(conditions, kind) for kind in (ConditionType.ROOM_READY, ConditionType.AGENT_JOINED))
    return next((c for c in wanted if c and c.status != "True"), None)


def ended(record: Record, last: Condition | None) -> Refusal:
    """Why nobody can be let in any more; `last` is what was lacking while it still lived."""
    found, session = record.finished, record.session
    reason = str(session.status.end_reason or (found.reason if found else EndReason.REQUESTED))
    kind = Kind.SESSION_NOT_READY if reason == EndReason.START_DEADLINE else Kind.SESSION_ENDED
    said = found.message if found and found.message else "The session has ended"
    return Refusal(kind, f"{said}{_because(last)}", reason, retry_after=1.0)


def not_ready(record: Record, seconds: float) -> Refusal:
    """The agent was not seen in the room within that time."""
    last = lacking(record)
    message = f"not Ready after {seconds:.0f} s{_because(last) or f' ({NOTHING_SAID})'}"
    return Refusal(Kind.SESSION_NOT_READY, message, str(last.reason) if last else "", retry_after=1.0)


def _because(last: Condition | None) -> str:
    return f" ({last.reason}: {last.message})" if last else ""
