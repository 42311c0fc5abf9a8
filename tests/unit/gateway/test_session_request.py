"""What a request asks for, and what it may not ask for."""

from typing import Any

import pytest
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.naming import ANONYMOUS, Caller
from voicesession_gateway.session_request import Guest, Wish, session_wish, token_wish

SHOP = Caller("keys:shop")
ALICE = Caller("oidc:https://id.example:alice", "alice@example.com")
NONCE = "0123456789abcdef0123456789abcdef"


def token(body: object, caller: Caller = SHOP, nonce: str = NONCE, request_id: str = "") -> tuple[Wish, Guest]:
    return token_wish(body, caller, "agent-66", nonce, request_id)


def refusal(body: object, caller: Caller = SHOP) -> Refusal:
    with pytest.raises(Refusal) as refused:
        token(body, caller)
    return refused.value


def test_what_livekits_own_client_sends_is_understood() -> None:
    wish, guest = token(
        {
            "room_name": "kitchen",
            "participant_name": "Alice",
            "participant_identity": "alice",
            "participant_metadata": "m",
            "participant_attributes": {"color": "blue"},
            "room_config": {"agents": [{"agent_name": "agent-7", "metadata": "for the room"}]},
        }
    )
    assert (wish.agent, wish.room_name, wish.user, wish.metadata) == ("agent-7", "kitchen", "alice", "for the room")
    assert wish.caller == SHOP.label
    assert guest == Guest("alice", "Alice", "m", {"color": "blue"})


def test_camel_case_and_empty_values_are_understood_too() -> None:
    full: dict[str, Any] = {"roomName": "kitchen", "roomConfig": {"agents": [{"agentName": "agent-7"}]}}
    empty: dict[str, Any] = {"participant_name": "", "participant_attributes": {}, "participant_metadata": None}
    config = {"name": "", "empty_timeout": 0, "egress": None, "sync_streams": False, "metadata": ""}
    full["roomConfig"] |= config
    wish, _ = token(full | empty)
    assert (wish.agent, wish.room_name) == ("agent-7", "kitchen")


@pytest.mark.parametrize("other", ["kitchen", "", None])
def test_a_field_may_be_there_in_both_ways_of_writing_it(other: str | None) -> None:
    for first, second in (("room_name", "roomName"), ("roomName", "room_name")):
        assert token({first: "kitchen", second: other})[0].room_name == "kitchen"


def test_nothing_at_all_is_a_session_of_its_own_with_somebody_new() -> None:
    wish, guest = token({})
    other, _ = token({}, nonce=NONCE[::-1])
    assert guest.identity == "human-0123456789ab"
    assert (wish.agent, wish.user, wish.user_label) == ("", "", "")
    assert wish.conversation != other.conversation


def conversation(body: object, caller: Caller = SHOP, request_id: str = "") -> str:
    return token(body, caller, nonce=NONCE[::-1], request_id=request_id)[0].conversation


def with_agent(name: str, **fields: str) -> dict[str, Any]:
    return {**fields, "room_config": {"agents": [{"agent_name": name}]}}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"room_name": "a"}, {"room_name": "a", "participant_identity": "bob"}, True),
        ({"room_name": "a"}, with_agent("agent-7", room_name="a"), True),
        ({"room_name": "a"}, {"room_name": "b"}, False),
        ({"participant_identity": "a"}, {"participant_identity": "a"}, True),
        ({"participant_identity": "a"}, with_agent("agent-66", participant_identity="a"), True),
        ({"participant_identity": "a"}, with_agent("agent-7", participant_identity="a"), False),
        ({"participant_identity": "a"}, {"participant_identity": "b"}, False),
        ({"participant_identity": "a"}, {"room_name": "a"}, False),
    ],
)
def test_who_asks_for_the_same_gets_the_same_conversation(first: object, second: object, same: bool) -> None:
    assert (token(first)[0].conversation == conversation(second)) is same


def test_a_key_of_the_request_makes_repeating_it_safe() -> None:
    assert token({}, request_id="r1")[0].conversation == conversation({}, request_id="r1")
    assert token({}, request_id="r1")[0].conversation != conversation({}, request_id="r2")


def test_two_callers_never_meet_by_the_name_of_a_room() -> None:
    assert token({"room_name": "a"})[0].conversation != conversation({"room_name": "a"}, ANONYMOUS)


def test_a_token_decides_who_the_user_is_whatever_the_identity_says() -> None:
    wish, guest = token({"participant_identity": "mallory"}, ALICE)
    assert (wish.user, guest.identity) == ("alice@example.com", "mallory")
    assert wish.user_label == ALICE.user_label("alice@example.com")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ([], Kind.INVALID_REQUEST, "the request must be a JSON object"),
        ("x", Kind.INVALID_REQUEST, "JSON object"),
        ({"room": "a"}, Kind.FIELD_NOT_ALLOWED, "'room' is not for callers to set"),
        ({"room_name": 7}, Kind.INVALID_REQUEST, "room_name must be a string"),
        ({"room_name": False}, Kind.INVALID_REQUEST, "room_name must be a string"),
        ({"participantName": 0}, Kind.INVALID_REQUEST, "participant_name must be a string"),
        ({"room_name": "a", "roomName": "b"}, Kind.INVALID_REQUEST, "'room_name' is there twice"),
        ({"roomName": "b", "room_name": 0}, Kind.INVALID_REQUEST, "'room_name' is there twice"),
        ({"room_config": False}, Kind.INVALID_REQUEST, "room_config must be a JSON object"),
        ({"room_config": {"agents": 0}}, Kind.INVALID_REQUEST, "must be a list"),
        ({"room_config": {"agents": [{"agent_name": "a", "agentName": "b"}]}}, Kind.INVALID_REQUEST, "there twice"),
        ({"participant_attributes": 0}, Kind.INVALID_REQUEST, "object of strings"),
        ({"room_name": "r" * 257}, Kind.INVALID_REQUEST, "at most 256"),
        ({"participant_identity": "i" * 129}, Kind.INVALID_REQUEST, "at most 128"),
        ({"participant_identity": "agent-agent-66"}, Kind.FIELD_NOT_ALLOWED, "must not begin with 'agent-'"),
        ({"participant_attributes": {"voicesession.role": "agent"}}, Kind.FIELD_NOT_ALLOWED, "voicesession.role"),
        ({"participant_attributes": {"lk.publish_on_behalf": "x"}}, Kind.FIELD_NOT_ALLOWED, "lk.publish_on_behalf"),
        ({"participant_attributes": {"a": 1}}, Kind.INVALID_REQUEST, "object of strings"),
        ({"participant_attributes": ["a"]}, Kind.INVALID_REQUEST, "object of strings"),
        ({"participant_attributes": {"a": "v" * 1024}}, Kind.INVALID_REQUEST, "at most 32"),
        ({"participant_attributes": {str(n): "v" for n in range(33)}}, Kind.INVALID_REQUEST, "at most 32"),
        ({"room_config": {"empty_timeout": 60}}, Kind.FIELD_NOT_ALLOWED, "room_config: 'empty_timeout'"),
        ({"roomConfig": {"maxParticipants": 9}}, Kind.FIELD_NOT_ALLOWED, "room_config: 'max_participants'"),
        ({"room_config": {"egress": {"room": {}}}}, Kind.FIELD_NOT_ALLOWED, "'egress'"),
        ({"room_config": {"metadata": "m"}}, Kind.FIELD_NOT_ALLOWED, "'metadata'"),
        ({"room_config": {"agents": {}, "name": "n"}}, Kind.FIELD_NOT_ALLOWED, "'name'"),
        ({"room_config": {"agents": "a"}}, Kind.INVALID_REQUEST, "must be a list"),
        ({"room_config": {"agents": [{}, {}]}}, Kind.FIELD_NOT_ALLOWED, "one agent"),
        ({"room_config": {"agents": [{"deployment": "d"}]}}, Kind.FIELD_NOT_ALLOWED, "agents[0]: 'deployment'"),
        ({"room_config": {"agents": [{"agent_name": "../x"}]}}, Kind.INVALID_REQUEST, "name of a VoiceAgent"),
        ({"room_config": {"agents": [{"agent_name": "a", "metadata": 1}]}}, Kind.INVALID_REQUEST, "must be a string"),
        ({"room_config": ["agents"]}, Kind.INVALID_REQUEST, "room_config must be a JSON object"),
    ],
)
def test_what_may_not_be_asked_for_is_named(body: object, kind: Kind, words: str) -> None:
    found = refusal(body)
    assert found.kind is kind
    assert words in found.message


def test_a_session_by_the_api() -> None:
    wish = session_wish({"agent": "agent-7", "user": "bob", "roomName": "kitchen"}, SHOP, NONCE)
    assert (wish.agent, wish.user, wish.room_name) == ("agent-7", "bob", "kitchen")
    assert wish.user_label == SHOP.user_label("bob")
    assert wish.conversation == conversation({"room_name": "kitchen"}), "a token request with that name joins it"
    assert session_wish({}, SHOP, NONCE).conversation != session_wish({}, SHOP, NONCE[::-1]).conversation
    assert session_wish({}, SHOP, "1", "key").conversation == session_wish({}, SHOP, "2", "key").conversation


def test_nobody_makes_sessions_of_another_user() -> None:
    assert session_wish({}, ALICE, NONCE).user == "alice@example.com"
    assert session_wish({"user": "alice@example.com"}, ALICE, NONCE).user == "alice@example.com"
    with pytest.raises(Refusal) as refused:
        session_wish({"user": "bob"}, ALICE, NONCE)
    assert refused.value.kind is Kind.USER_NOT_ALLOWED


@pytest.mark.parametrize("body", [{"room_name": "a"}, {"agent": "A B"}, {"user": "u" * 254}, {"user": 0}, None])
def test_a_session_request_has_its_own_fields(body: object) -> None:
    with pytest.raises(Refusal):
        session_wish(body, SHOP, NONCE)


def test_users_of_two_callers_are_strangers() -> None:
    assert SHOP.user_label("bob") != Caller("keys:bank").user_label("bob")
    assert Caller("a").user_label("bc") != Caller("ab").user_label("c")
