"""Which session it is, whether one more may be made, and which of two stays."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voicesession_gateway import naming
from voicesession_gateway.admission import Create, Join, Pending, Quota, admit, choose, judge
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.session_record import Record
from voicesession_gateway.session_request import Wish

from tests.support import gateway_objects
from tests.support.gateway_objects import CALLER, OTHER

CONVERSATION = naming.label("a conversation")
WISH = Wish(CALLER, CONVERSATION)
USER = naming.label("bob")


def record(number: int = 1, version: int = 1, **values: Any) -> Record:
    name = values.pop("name", naming.session_name(CONVERSATION, number))
    values.setdefault("conversation", CONVERSATION)
    return Record.parse(gateway_objects.session(name, version, **values))


def live(version: int, conversation: str = "", user: str = "", caller: str = CALLER) -> Record:
    name = f"call-{version}"
    return record(name=name, version=version, conversation=conversation or name, user=user, caller=caller)


def test_the_first_of_a_conversation() -> None:
    assert choose([], WISH) == Create(f"call-{CONVERSATION[:16]}")


def test_a_live_one_is_joined() -> None:
    found = record()
    assert choose([found], WISH) == Join(found)


def test_one_that_is_over_is_followed_by_the_next() -> None:
    over = [record(1, 1, status=gateway_objects.finished()), record(2, 2, status=gateway_objects.finished())]
    assert choose(over, WISH) == Create(f"call-{CONVERSATION[:16]}-3")
    ending = [record(1, 1, spec={"end": True})]
    assert choose(ending, WISH) == Create(f"call-{CONVERSATION[:16]}-2")


def test_a_later_one_is_joined_also_when_the_first_ones_are_forgotten() -> None:
    second = record(2, 5)
    assert choose([second], WISH) == Join(second)


def test_a_later_one_that_is_over_is_followed_too() -> None:
    assert choose([record(7, 5, status=gateway_objects.finished())], WISH) == Create(f"call-{CONVERSATION[:16]}-8")


@pytest.mark.parametrize("room_name", ["call-other", "vs-room"])
def test_one_is_joined_by_its_own_name_or_its_rooms(room_name: str) -> None:
    other = record(name="call-other", conversation="else", status=gateway_objects.ready())
    assert choose([record(), other], Wish(CALLER, CONVERSATION, room_name=room_name)) == Join(other)


def test_a_session_without_a_room_yet_is_nobodys_by_an_empty_name() -> None:
    assert isinstance(choose([record(name="call-other", conversation="else")], WISH), Create)


def test_another_agent_is_no_reason_to_change_the_conversation() -> None:
    with pytest.raises(Refusal) as refused:
        choose([record()], Wish(CALLER, CONVERSATION, agent="agent-7"))
    assert refused.value.kind is Kind.CONFLICT
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
def test_a_caller_and_a_user_have_so_many_and_no_more(sessions: int, pending: int, quota: Quota, allowed: bool) -> None:
    mine = [live(n + 1, user=USER) for n in range(sessions)]
    mine += [record(name="call-over", version=90, status=gateway_objects.finished(), user=USER)]
    making = [Pending(CALLER, USER)] * pending + [Pending(OTHER, USER)] * 5
    wish = Wish(CALLER, CONVERSATION, user="bob", user_label=USER)
    if allowed:
        admit(mine, making, wish, quota)
        return
    with pytest.raises(Refusal, match="live sessions") as refused:
        admit(mine, making, wish, quota)
    assert refused.value.kind is Kind.TOO_MANY_SESSIONS
    assert refused.value.retry_after > 0


def test_one_without_a_user_counts_for_the_caller_only() -> None:
    admit([live(1), live(2)], [], WISH, Quota(3, 1))


def test_of_two_that_were_made_at_once_the_older_one_stays() -> None:
    first, second = record(1, 4), record(2, 5)
    judge([first, second], first, Quota(0, 0))
    with pytest.raises(Refusal) as refused:
        judge([first, second], second, Quota(0, 0))
    assert refused.value.kind is Kind.CONFLICT


@given(st.permutations(range(1, 12)), st.integers(1, 12), st.booleans())
def test_whatever_each_replica_has_seen_no_more_than_are_allowed_stay(
    order: list[int], limit: int, by_user: bool
) -> None:
    """Each judges when it has seen its own session and thereby all older ones; of younger ones some or none."""
    quota = Quota(0, limit) if by_user else Quota(limit, 0)
    made = [live(version, user=USER) for version in order]
    staying = [one for one in made if _stays([o for o in made if o.born <= one.born], one, quota)]
    assert [one.born for one in sorted(staying, key=lambda r: r.born)] == list(range(1, min(limit, 11) + 1))


def test_those_of_others_and_those_that_are_over_do_not_count() -> None:
    over = record(name="call-over", version=1, conversation="x", status=gateway_objects.finished())
    judge([over, live(2, user=USER), live(3)], live(3), Quota(2, 1))


def _stays(seen: list[Record], one: Record, quota: Quota) -> bool:
    try:
        judge(seen, one, quota)
    except Refusal:
        return False
    return True
