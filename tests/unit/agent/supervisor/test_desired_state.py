"""The body of PUT /v1/state."""

import json
from typing import Any

import jwt
import pytest
from voicesession_agent.memory.backend import MemoryAddress
from voicesession_agent.supervisor.desired_state import MalformedError, parse

GOOD: dict[str, Any] = {
    "sessionUID": "u1",
    "epoch": 3,
    "room": {"name": "vs-1", "url": "ws://livekit"},
    "token": "secret-token",
    "identity": "agent-a",
    "memory": {"baseURL": "http://letta", "agentID": "agent-1", "apiKey": "secret-key"},
    "capture": True,
}


def test_parse_of_full_body_sets_every_field() -> None:
    desired = parse(json.dumps(GOOD).encode())
    assert (desired.session_uid, desired.epoch, desired.room_name, desired.capture) == ("u1", 3, "vs-1", True)
    assert desired.memory == MemoryAddress("http://letta", "agent-1", "secret-key")


def test_parse_strips_api_key() -> None:
    memory = GOOD["memory"] | {"apiKey": "secret-key\n"}
    assert parse(json.dumps(GOOD | {"memory": memory}).encode()).memory == MemoryAddress(
        "http://letta", "agent-1", "secret-key"
    )


def test_parse_without_newer_fields_uses_defaults() -> None:
    desired = parse(json.dumps(GOOD).encode())
    assert (desired.cause, desired.read_only, desired.idle_seconds) == ("", False, 0.0)
    assert (desired.admin_token, desired.prewarm) == ("", True)
    assert (desired.remember, desired.remember_block, desired.recall) == (True, "human", False)


def test_parse_sets_cause_read_only_and_idle() -> None:
    more = {"cause": "LastHumanLeft", "idleSeconds": 90, "memory": GOOD["memory"] | {"readOnly": True}}
    desired = parse(json.dumps(GOOD | more).encode())
    assert (desired.cause, desired.read_only, desired.idle_seconds) == ("LastHumanLeft", True, 90.0)


def test_parse_sets_block_and_permissions_of_memory() -> None:
    memory = GOOD["memory"] | {"remember": False, "rememberBlock": "notes", "recall": True}
    desired = parse(json.dumps(GOOD | {"memory": memory}).encode())
    assert (desired.remember, desired.remember_block, desired.recall) == (False, "notes", True)


@pytest.mark.parametrize(
    ("claims", "expiry"), [({"exp": 1763853600}, 1763853600.0), ({"exp": "soon"}, None), ({"sub": "agent-a"}, None)]
)
def test_parse_reads_expiry_of_token(claims: dict[str, Any], expiry: float | None) -> None:
    token = jwt.encode(claims, "a secret of LiveKit with 32 bytes or more")
    assert parse(json.dumps(GOOD | {"token": token}).encode()).token_expires_at == expiry
    assert parse(json.dumps(GOOD).encode()).token_expires_at is None


@pytest.mark.parametrize(
    ("claims", "epoch"),
    [({"attributes": {"voicesession.epoch": "3"}}, "3"), ({"attributes": {}}, ""), ({"attributes": "3"}, ""), ({}, "")],
)
def test_parse_reads_epoch_of_token(claims: dict[str, Any], epoch: str) -> None:
    token = jwt.encode(claims, "a secret of LiveKit with 32 bytes or more")
    assert parse(json.dumps(GOOD | {"token": token}).encode()).token_epoch == epoch
    assert parse(json.dumps(GOOD).encode()).token_epoch == ""


def test_repr_hides_token_and_api_key() -> None:
    assert "secret" not in repr(parse(json.dumps(GOOD | {"adminToken": "secret"}).encode()))


def test_parse_with_null_memory_passes() -> None:
    assert parse(json.dumps(GOOD | {"memory": None}).encode()).memory is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sessionUID": ""}, "sessionUID is empty"),
        ({"sessionUID": 5}, "sessionUID must be of type str"),
        ({"epoch": -1}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"room": None}, "room must be of type dict"),
        ({"room": {"url": "x"}}, "name must be of type str"),
        ({"token": None}, "token must be of type str"),
        ({"memory": []}, "memory must be of type dict"),
        ({"memory": {"baseURL": "x"}}, "agentID"),
        ({"idleSeconds": -1}, "idleSeconds"),
        ({"idleSeconds": True}, "idleSeconds"),
        ({"idleSeconds": "60"}, "idleSeconds"),
        ({"cause": 5}, "cause"),
        ({"memory": {"baseURL": "x", "agentID": "y", "readOnly": "no"}}, "readOnly"),
        ({"memory": {"baseURL": "x", "agentID": "y", "remember": "no"}}, "remember"),
        ({"memory": {"baseURL": "x", "agentID": "y", "rememberBlock": 5}}, "rememberBlock"),
        ({"memory": {"baseURL": "x", "agentID": "y", "recall": 1}}, "recall"),
        ({"adminToken": 5}, "adminToken"),
        ({"prewarm": "no"}, "prewarm"),
        ({"capture": "yes"}, "capture must be of type bool"),
    ],
)
def test_parse_of_malformed_field_names_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        parse(json.dumps(GOOD | change).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{"])
def test_parse_of_non_object_raises(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(body)
