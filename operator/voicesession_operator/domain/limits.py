"""The limits that hold whatever LiveKit says: the start, the whole duration, and the user's own `end: true`."""

from math import inf
from typing import Final

from voicesession_operator.api.conditions import Condition, find
from voicesession_operator.api.reasons import EndReason, Reason
from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.lifecycle import REQUIRED
from voicesession_operator.domain.verdict import Deadline, Verdict

INVALID_POD: Final = "Invalid"
"""The API server's own word for a pod that can never be as it is written."""
NEVER: Final = frozenset({Reason.AGENT_NOT_FOUND, Reason.AGENT_INVALID, INVALID_POD})
"""What only somebody who changes a spec can mend."""
TRYING: Final = frozenset({Reason.ROOM_CREATING, Reason.STARTING})
"""So far nothing is wrong; a refusal of the last try is what the stored status has."""


def requested(session: VoiceSession) -> tuple[Deadline, ...]:
    """`spec.end` ends the session now."""
    return (Deadline(-inf, Verdict(EndReason.REQUESTED, "spec.end was set")),) if session.end else ()


def max_duration(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """Counts from Ready, or from the first reconcile of a session that never got there."""
    seconds = session.limits.max_duration_seconds
    since = status.ready_at if status.ready_at is not None else status.started_at
    if since is None:
        return ()
    return (Deadline(since + seconds, Verdict(EndReason.MAX_DURATION, f"maxDurationSeconds ({seconds:g}) is over")),)


def start(session: VoiceSession, status: Status) -> tuple[Deadline, ...]:
    """The agent must be in the room within startSeconds of the session's creation; until then a spec may be mended."""
    if status.ready_at is not None:
        return ()
    seconds = session.limits.start_seconds
    missing = next(filter(None, (_missing(kind, session.status, status) for kind in REQUIRED)), None)
    reason = EndReason.INVALID if missing and missing.reason in NEVER else EndReason.START_DEADLINE
    what = missing.message if missing else "the agent has not joined"
    verdict = Verdict(reason, f"Not ready within startSeconds ({seconds:g}): {what}")
    return (Deadline(session.created_at + seconds, verdict),)


def _missing(kind: str, stored: Status, status: Status) -> Condition | None:
    """The condition that says why not; None if it is True."""
    now, before = find(status.conditions, kind), find(stored.conditions, kind)
    if now is None or now.status == "True":
        return None
    was_refused = before is not None and before.status == "False" and before.reason not in frozenset(Reason)
    return before if now.reason in TRYING and was_refused else now
