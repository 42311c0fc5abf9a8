"""Matching of requests to sessions, quotas, and concurrent creations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voicesession_gateway import naming
from voicesession_gateway.admission import (
    Create,
    Join,
    PendingSession,
    Quota,
    check_quota,
    match_or_name,
    recheck_quota,
)
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.session_record import SessionRecord
from voicesession_gateway.session_request import SessionRequest

from tests.support import gateway_objects
from tests.support.gateway_objects import CALLER, OTHER

CONVERSATION = naming.hash_label("a conversation")
REQUEST = SessionRequest(CALLER, CONVERSATION)
USER = naming.hash_label("bob")


def record(number: int = 1, version: int = 1, **values: Any) -> SessionRecord:
    name = values.pop("name", naming.session_name(CONVERSATION, number))
    values.setdefault("conversation", CONVERSATION)
    return SessionRecord.parse(gateway_objects.session(name, version, **values))


def live(version: int, conversation: str = "", user: str = "", caller: str = CALLER) -> SessionRecord:
    name = f"call-{version}"
    return record(name=name, version=version, conversation=conversation or name, user=user, caller=caller)


def test_match_without_session_returns_first_name() -> None:
    assert match_or_name([], REQUEST) == Create(f"call-{CONVERSATION[:16]}")


def test_match_with_live_session_returns_join() -> None:
    found = record()
    assert match_or_name([found], REQUEST) == Join(found)


def test_match_with_finished_session_returns_next_name() -> None:
    over = [record(1, 1, status=gateway_objects.finished()), record(2, 2, status=gateway_objects.finished())]
    assert match_or_name(over, REQUEST) == Create(f"call-{CONVERSATION[:16]}-3")
    ending = [record(1, 1, spec={"end": True})]
    assert match_or_name(ending, REQUEST) == Create(f"call-{CONVERSATION[:16]}-2")


def test_match_with_deleted_predecessors_joins_live_session() -> None:
    second = record(2, 5)
    assert match_or_name([second], REQUEST) == Join(second)


def test_match_with_finished_later_session_returns_next_name() -> None:
    assert match_or_name([record(7, 5, status=gateway_objects.finished())], REQUEST) == Create(
        f"call-{CONVERSATION[:16]}-8"
    )


@pytest.mark.parametrize("room_name", ["call-other", "vs-room"])
def test_match_by_session_name_or_room_name_returns_join(room_name: str) -> None:
    other = record(name="call-other", conversation="else", status=gateway_objects.ready())
    assert match_or_name([record(), other], SessionRequest(CALLER, CONVERSATION, room_name=room_name)) == Join(other)


def test_match_with_empty_room_name_ignores_sessions_without_room() -> None:
    assert isinstance(match_or_name([record(name="call-other", conversation="else")], REQUEST), Create)


def test_match_with_other_agent_raises_conflict() -> None:
    with pytest.raises(ApiError) as refused:
        match_or_name([record()], SessionRequest(CALLER, CONVERSATION, agent="agent-7"))
    assert refused.value.code is ErrorCode.CONFLICT
    assert "'agent-66', not 'agent-7'" in refused.value.message


@pytest.mark.parametrize(
    ("sessions", "pending", "quota", "allowed"),
    [
        (2, 0, Quota(3, 0), True),
        (3, 0, Quota(3, 0), False),
        (2, 1, Quota(3, 0), False),
        (9, 9, Quota(0, 0), True),
        (2, 0, Quota(9, 3), True),
        (2, 1, Quota(9, 3), False),
    ],
)
def test_check_quota_at_limit_raises(sessions: int, pending: int, quota: Quota, allowed: bool) -> None:
    mine = [live(n + 1, user=USER) for n in range(sessions)]
    mine += [record(name="call-over", version=90, status=gateway_objects.finished(), user=USER)]
    making = [PendingSession(CALLER, USER)] * pending + [PendingSession(OTHER, USER)] * 5
    parsed = SessionRequest(CALLER, CONVERSATION, user="bob", user_label=USER)
    if allowed:
        check_quota(mine, making, parsed, quota)
        return
    with pytest.raises(ApiError, match="live sessions") as refused:
        check_quota(mine, making, parsed, quota)
    assert refused.value.code is ErrorCode.TOO_MANY_SESSIONS
    assert refused.value.retry_after > 0


def test_check_quota_without_user_counts_caller_only() -> None:
    check_quota([live(1), live(2)], [], REQUEST, Quota(3, 1))


def test_recheck_quota_for_concurrent_sessions_keeps_older() -> None:
    first, second = record(1, 4), record(2, 5)
    recheck_quota([first, second], first, Quota(0, 0))
    with pytest.raises(ApiError) as refused:
        recheck_quota([first, second], second, Quota(0, 0))
    assert refused.value.code is ErrorCode.CONFLICT


@given(st.permutations(range(1, 12)), st.integers(1, 12), st.booleans())
def test_recheck_quota_in_any_replica_order_keeps_quota(order: list[int], limit: int, by_user: bool) -> None:
    """Check every order: a replica sees its own session, all older ones, and any part of the younger ones."""
    quota = Quota(0, limit) if by_user else Quota(limit, 0)
    created = [live(version, user=USER) for version in order]
    kept = []
    for new in created:
        seen = [other for other in created if other.created_version <= new.created_version]
        if _is_kept(seen, new, quota):
            kept.append(new.created_version)
    assert sorted(kept) == list(range(1, min(limit, 11) + 1))


def test_recheck_quota_ignores_other_callers_and_finished_sessions() -> None:
    over = record(name="call-over", version=1, conversation="x", status=gateway_objects.finished())
    recheck_quota([over, live(2, user=USER), live(3)], live(3), Quota(2, 1))


def _is_kept(seen: list[SessionRecord], new: SessionRecord, quota: Quota) -> bool:
    try:
        recheck_quota(seen, new, quota)
    except ApiError:
        return False
    return True
