"""Parsing and validation of token requests and session requests."""

from typing import Any

import pytest
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.naming import ANONYMOUS, Caller
from voicesession_gateway.session_request import (
    ParticipantRequest,
    SessionRequest,
    parse_session_request,
    parse_token_request,
)

SHOP = Caller("keys:shop")
ALICE = Caller("oidc:https://id.example:alice", "alice@example.com")
NONCE = "0123456789abcdef0123456789abcdef"


def token(
    body: object, caller: Caller = SHOP, nonce: str = NONCE, request_id: str = ""
) -> tuple[SessionRequest, ParticipantRequest]:
    return parse_token_request(body, caller, "agent-66", nonce, request_id)


def refusal(body: object, caller: Caller = SHOP) -> ApiError:
    with pytest.raises(ApiError) as refused:
        token(body, caller)
    return refused.value


def test_token_request_of_livekit_client_is_parsed() -> None:
    parsed, guest = token(
        {
            "room_name": "kitchen",
            "participant_name": "Alice",
            "participant_identity": "alice",
            "participant_metadata": "m",
            "participant_attributes": {"color": "blue"},
            "room_config": {"agents": [{"agent_name": "agent-7", "metadata": "for the agent"}]},
        }
    )
    assert (parsed.agent, parsed.room_name, parsed.user, parsed.metadata) == (
        "agent-7",
        "kitchen",
        "alice",
        "for the agent",
    )
    assert parsed.caller == SHOP.label
    assert guest == ParticipantRequest("alice", "Alice", "m", {"color": "blue"})


def test_token_request_in_camel_case_with_empty_values_is_parsed() -> None:
    full: dict[str, Any] = {"roomName": "kitchen", "roomConfig": {"agents": [{"agentName": "agent-7"}]}}
    empty: dict[str, Any] = {"participant_name": "", "participant_attributes": {}, "participant_metadata": None}
    config = {"name": "", "empty_timeout": 0, "egress": None, "sync_streams": False, "metadata": ""}
    full["roomConfig"] |= config
    parsed, _ = token(full | empty)
    assert (parsed.agent, parsed.room_name) == ("agent-7", "kitchen")


@pytest.mark.parametrize("other", ["kitchen", "", None])
def test_token_request_with_field_in_both_spellings_is_parsed(other: str | None) -> None:
    for first, second in (("room_name", "roomName"), ("roomName", "room_name")):
        assert token({first: "kitchen", second: other})[0].room_name == "kitchen"


def test_empty_token_request_gets_new_identity_and_session() -> None:
    parsed, guest = token({})
    other, _ = token({}, nonce=NONCE[::-1])
    assert guest.identity == "human-0123456789ab"
    assert (parsed.agent, parsed.user, parsed.user_label) == ("", "", "")
    assert parsed.conversation != other.conversation


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
def test_equal_token_requests_have_equal_conversation(first: object, second: object, same: bool) -> None:
    assert (token(first)[0].conversation == conversation(second)) is same


def test_idempotency_key_fixes_conversation() -> None:
    assert token({}, request_id="r1")[0].conversation == conversation({}, request_id="r1")
    assert token({}, request_id="r1")[0].conversation != conversation({}, request_id="r2")


def test_room_name_of_two_callers_has_two_conversations() -> None:
    assert token({"room_name": "a"})[0].conversation != conversation({"room_name": "a"}, ANONYMOUS)


def test_user_of_token_overrides_identity() -> None:
    parsed, guest = token({"participant_identity": "mallory"}, ALICE)
    assert (parsed.user, guest.identity) == ("alice@example.com", "mallory")
    assert parsed.user_label == ALICE.user_label("alice@example.com")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ([], ErrorCode.INVALID_REQUEST, "the request must be a JSON object"),
        ("x", ErrorCode.INVALID_REQUEST, "JSON object"),
        ({"room": "a"}, ErrorCode.FIELD_NOT_ALLOWED, "callers must not set 'room'"),
        ({"room_name": 7}, ErrorCode.INVALID_REQUEST, "room_name must be a string"),
        ({"room_name": False}, ErrorCode.INVALID_REQUEST, "room_name must be a string"),
        ({"participantName": 0}, ErrorCode.INVALID_REQUEST, "participant_name must be a string"),
        ({"room_name": "a", "roomName": "b"}, ErrorCode.INVALID_REQUEST, "'room_name' appears twice"),
        ({"roomName": "b", "room_name": 0}, ErrorCode.INVALID_REQUEST, "'room_name' appears twice"),
        ({"room_config": False}, ErrorCode.INVALID_REQUEST, "room_config must be a JSON object"),
        ({"room_config": {"agents": 0}}, ErrorCode.INVALID_REQUEST, "must be a list"),
        (
            {"room_config": {"agents": [{"agent_name": "a", "agentName": "b"}]}},
            ErrorCode.INVALID_REQUEST,
            "appears twice",
        ),
        ({"participant_attributes": 0}, ErrorCode.INVALID_REQUEST, "object of strings"),
        ({"room_name": "r" * 257}, ErrorCode.INVALID_REQUEST, "at most 256"),
        ({"participant_identity": "i" * 129}, ErrorCode.INVALID_REQUEST, "at most 128"),
        ({"participant_identity": "agent-agent-66"}, ErrorCode.FIELD_NOT_ALLOWED, "must not begin with 'agent-'"),
        ({"participant_attributes": {"voicesession.role": "agent"}}, ErrorCode.FIELD_NOT_ALLOWED, "voicesession.role"),
        (
            {"participant_attributes": {"lk.publish_on_behalf": "x"}},
            ErrorCode.FIELD_NOT_ALLOWED,
            "lk.publish_on_behalf",
        ),
        ({"participant_attributes": {"a": 1}}, ErrorCode.INVALID_REQUEST, "object of strings"),
        ({"participant_attributes": ["a"]}, ErrorCode.INVALID_REQUEST, "object of strings"),
        ({"participant_attributes": {"a": "v" * 1024}}, ErrorCode.INVALID_REQUEST, "at most 32"),
        ({"participant_attributes": {str(n): "v" for n in range(33)}}, ErrorCode.INVALID_REQUEST, "at most 32"),
        (
            {"room_config": {"empty_timeout": 60}},
            ErrorCode.FIELD_NOT_ALLOWED,
            "room_config: callers must not set 'empty_timeout'",
        ),
        (
            {"roomConfig": {"maxParticipants": 9}},
            ErrorCode.FIELD_NOT_ALLOWED,
            "room_config: callers must not set 'max_participants'",
        ),
        ({"room_config": {"egress": {"room": {}}}}, ErrorCode.FIELD_NOT_ALLOWED, "'egress'"),
        ({"room_config": {"metadata": "m"}}, ErrorCode.FIELD_NOT_ALLOWED, "'metadata'"),
        ({"room_config": {"agents": {}, "name": "n"}}, ErrorCode.FIELD_NOT_ALLOWED, "'name'"),
        ({"room_config": {"agents": "a"}}, ErrorCode.INVALID_REQUEST, "must be a list"),
        ({"room_config": {"agents": [{}, {}]}}, ErrorCode.FIELD_NOT_ALLOWED, "one agent"),
        (
            {"room_config": {"agents": [{"deployment": "d"}]}},
            ErrorCode.FIELD_NOT_ALLOWED,
            "agents[0]: callers must not set 'deployment'",
        ),
        ({"room_config": {"agents": [{"agent_name": "../x"}]}}, ErrorCode.INVALID_REQUEST, "name of a VoiceAgent"),
        (
            {"room_config": {"agents": [{"agent_name": "a", "metadata": 1}]}},
            ErrorCode.INVALID_REQUEST,
            "must be a string",
        ),
        ({"room_config": ["agents"]}, ErrorCode.INVALID_REQUEST, "room_config must be a JSON object"),
    ],
)
def test_token_request_with_forbidden_field_is_refused(body: object, code: ErrorCode, message: str) -> None:
    error = refusal(body)
    assert error.code is code
    assert message in error.message


def test_session_request_is_parsed() -> None:
    parsed = parse_session_request({"agent": "agent-7", "user": "bob", "roomName": "kitchen"}, SHOP, NONCE)
    assert (parsed.agent, parsed.user, parsed.room_name) == ("agent-7", "bob", "kitchen")
    assert parsed.user_label == SHOP.user_label("bob")
    assert parsed.conversation == conversation({"room_name": "kitchen"}), "a token request with that name joins it"
    assert (
        parse_session_request({}, SHOP, NONCE).conversation != parse_session_request({}, SHOP, NONCE[::-1]).conversation
    )
    assert (
        parse_session_request({}, SHOP, "1", "key").conversation
        == parse_session_request({}, SHOP, "2", "key").conversation
    )


def test_session_request_for_other_user_is_refused() -> None:
    assert parse_session_request({}, ALICE, NONCE).user == "alice@example.com"
    assert parse_session_request({"user": "alice@example.com"}, ALICE, NONCE).user == "alice@example.com"
    with pytest.raises(ApiError) as refused:
        parse_session_request({"user": "bob"}, ALICE, NONCE)
    assert refused.value.code is ErrorCode.USER_NOT_ALLOWED


@pytest.mark.parametrize("body", [{"room_name": "a"}, {"agent": "A B"}, {"user": "u" * 254}, {"user": 0}, None])
def test_session_request_with_unknown_field_is_refused(body: object) -> None:
    with pytest.raises(ApiError):
        parse_session_request(body, SHOP, NONCE)


def test_equal_users_of_two_callers_have_different_labels() -> None:
    assert SHOP.user_label("bob") != Caller("keys:bank").user_label("bob")
    assert Caller("a").user_label("bc") != Caller("ab").user_label("c")
