"""Admission of session requests: the matching session, the quota, and the winner of concurrent creations.

All replicas see the creations in the same order (etcd's), so all of them decide alike without communication.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from voicesession_gateway import naming
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.session_record import SessionRecord
from voicesession_gateway.session_request import SessionRequest

RETRY_SECONDS = 10.0
"""Retry-After for requests above a quota. The end of another session cannot be predicted, so this is a guess."""


@dataclass(frozen=True)
class Quota:
    """Limits of simultaneous live sessions; 0 means no limit."""

    caller: int
    user: int


@dataclass(frozen=True)
class Join:
    """Decision to join an existing session."""

    record: SessionRecord


@dataclass(frozen=True)
class Create:
    """Decision to create a session with this name."""

    name: str


@dataclass(frozen=True)
class PendingSession:
    """A session whose creation has begun and that the store does not hold yet."""

    caller: str
    user: str


def match_or_name(mine: Iterable[SessionRecord], request: SessionRequest) -> Join | Create:
    """Return the live session to join, or the name of the conversation's next session.

    A session matches by its name or room name first, then by its conversation. `mine` are the caller's sessions.
    Raises ApiError if the conversation has another agent.
    """
    found = sorted(mine, key=lambda record: record.created_version)
    live = [record for record in found if record.is_live]
    by_conversation = next((r for r in live if r.conversation == request.conversation), None)
    by_name = next((r for r in live if request.room_name and request.room_name in (r.room, r.name)), None)
    joined = by_name or by_conversation
    if joined is not None:
        _check_agent(joined, request)
        return Join(joined)
    same = [r.name for r in found if r.conversation == request.conversation]
    numbers = [naming.session_number(name, request.conversation) for name in same]
    return Create(naming.session_name(request.conversation, max(numbers, default=0) + 1))


def check_quota(
    mine: Iterable[SessionRecord], pending: Iterable[PendingSession], request: SessionRequest, quota: Quota
) -> None:
    """Raise ApiError if another live session would exceed the quota."""
    pending = (session for session in pending if session.caller == request.caller)
    live: list[SessionRecord | PendingSession] = [*(r for r in mine if r.is_live), *pending]
    _check_limit(quota.caller, len(live), "caller")
    if request.user_label:
        _check_limit(quota.user, sum(session.user == request.user_label for session in live), "user")


def recheck_quota(mine: Iterable[SessionRecord], created: SessionRecord, quota: Quota) -> None:
    """Raise ApiError if the new session must be deleted again.

    The code is CONFLICT if an older session has the same conversation, and TOO_MANY_SESSIONS if the older sessions
    already reach the quota.
    """
    older = [r for r in mine if r.is_live and r.created_version < created.created_version]
    if any(r.conversation == created.conversation for r in older):
        raise ApiError(ErrorCode.CONFLICT, "another session of this conversation was created first")
    _check_limit(quota.caller, len(older), "caller")
    if created.user:
        _check_limit(quota.user, sum(r.user == created.user for r in older), "user")


def _check_agent(record: SessionRecord, request: SessionRequest) -> None:
    if request.agent and request.agent != record.session.agent_ref:
        message = f"this conversation has the agent {record.session.agent_ref!r}, not {request.agent!r}"
        raise ApiError(ErrorCode.CONFLICT, message)


def _check_limit(limit: int, count: int, owner: str) -> None:
    if limit and count >= limit:
        message = f"this {owner} has {count} live sessions, and {limit} are allowed at once"
        raise ApiError(ErrorCode.TOO_MANY_SESSIONS, message, retry_after=RETRY_SECONDS)
