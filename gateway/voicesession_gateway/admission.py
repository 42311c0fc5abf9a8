"""Which session a request leads to, whether another one may be made, and which of two that were made at once stays.

Every replica sees the same creations in the same order (etcd's), so all judge alike without talking to each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from voicesession_gateway import naming
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.session_record import Record
from voicesession_gateway.session_request import Wish

RETRY_SECONDS = 10.0
"""When to ask again for a session above a limit: nobody knows when another one ends."""


@dataclass(frozen=True)
class Quota:
    """Live sessions at once; 0 is no limit."""

    caller: int
    user: int


@dataclass(frozen=True)
class Join:
    record: Record


@dataclass(frozen=True)
class Create:
    name: str


@dataclass(frozen=True)
class Pending:
    """A session that is being made and that no watch has shown yet."""

    caller: str
    user: str


def choose(mine: Iterable[Record], wish: Wish) -> Join | Create:
    """Join the live session of that conversation, or of that very name or room; else make the next one.

    `mine` are the caller's sessions. Raises Refusal where the conversation has another agent.
    """
    found = sorted(mine, key=lambda record: record.born)
    live = [record for record in found if record.is_live]
    same = next((r for r in live if r.conversation == wish.conversation), None)
    named = next((r for r in live if wish.room_name and wish.room_name in (r.room, r.name)), None)
    joined = named or same
    if joined is not None:
        _same_agent(joined, wish)
        return Join(joined)
    numbers = [naming.session_number(r.name, wish.conversation) for r in found if r.conversation == wish.conversation]
    return Create(naming.session_name(wish.conversation, max(numbers, default=0) + 1))


def admit(mine: Iterable[Record], pending: Iterable[Pending], wish: Wish, quota: Quota) -> None:
    """Raises Refusal where one more live session would be one too many."""
    live: list[Record | Pending] = [*(r for r in mine if r.is_live), *(p for p in pending if p.caller == wish.caller)]
    _within(quota.caller, len(live), "caller")
    if wish.user_label:
        _within(quota.user, sum(s.user == wish.user_label for s in live), "user")


def judge(mine: Iterable[Record], made: Record, quota: Quota) -> None:
    """Raises Refusal unless the session that was just made may stay: CONFLICT where an older one is the same
    conversation, TOO_MANY_SESSIONS where older ones are as many as are allowed.
    """
    older = [r for r in mine if r.is_live and r.born < made.born]
    if any(r.conversation == made.conversation for r in older):
        raise Refusal(Kind.CONFLICT, "another session of this conversation came first")
    _within(quota.caller, len(older), "caller")
    if made.user:
        _within(quota.user, sum(r.user == made.user for r in older), "user")


def _same_agent(record: Record, wish: Wish) -> None:
    if wish.agent and wish.agent != record.session.agent_ref:
        message = f"this conversation is with the agent {record.session.agent_ref!r}, not {wish.agent!r}"
        raise Refusal(Kind.CONFLICT, message)


def _within(limit: int, count: int, whose: str) -> None:
    if limit and count >= limit:
        message = f"this {whose} has {count} live sessions, and {limit} are allowed at once"
        raise Refusal(Kind.TOO_MANY_SESSIONS, message, retry_after=RETRY_SECONDS)
