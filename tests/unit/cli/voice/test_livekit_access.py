"""Access to LiveKit: the state of a session, and the token of a human."""

import pytest
from livekit import api
from voicesession_cli.errors import CommandError
from voicesession_cli.voice.livekit_access import human_token, not_ready_message, ready_session_or_none
from voicesession_common import JsonObject

KEY, SECRET = "key", "0123456789abcdef0123456789abcdef"


def session(status: JsonObject | None = None, **metadata: str) -> JsonObject:
    raw: JsonObject = {
        "metadata": {"namespace": "calls", "name": "hello", **metadata},
        "spec": {"agentRef": {"name": "agent-66"}},
    }
    return raw if status is None else raw | {"status": status}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_ready_session_has_room_and_agent() -> None:
    status = {
        "conditions": [condition("Ready", "True"), condition("Finished", "False")],
        "room": {"name": "vs-a", "url": "ws://lk:1"},
        "agent": {"identity": "agent-agent-66"},
    }
    found = ready_session_or_none(session(status))
    assert found is not None
    assert (found.namespace, found.name, found.room, found.url) == ("calls", "hello", "vs-a", "ws://lk:1")
    assert (found.agent, found.agent_identity) == ("agent-66", "agent-agent-66")


@pytest.mark.parametrize("status", [None, {}, {"conditions": [condition("Ready", "False", "Starting")]}])
def test_starting_session_is_none(status: JsonObject | None) -> None:
    assert ready_session_or_none(session(status)) is None


def test_finished_session_is_an_error_with_end_reason() -> None:
    status = {"conditions": [condition("Finished", "True")], "endReason": "LastHumanLeft"}
    with pytest.raises(CommandError, match="calls/hello has finished: LastHumanLeft") as ended:
        ready_session_or_none(session(status))
    assert ended.value.code == 1


def test_session_in_deletion_is_an_error() -> None:
    with pytest.raises(CommandError, match="is being deleted"):
        ready_session_or_none(session({}, deletionTimestamp="2026-01-01T00:00:00Z"))


def test_not_ready_message_has_each_condition_once() -> None:
    status = {
        "conditions": [
            condition("RoomReady", "True", "RoomCreated", "The room exists"),
            condition("AgentJoined", "False", "AgentNotFound", "no such agent"),
            condition("Ready", "False", "AgentNotFound", "no such agent"),
            condition("Finished", "False", "Running", "not over"),
        ]
    }
    assert not_ready_message(session(status)) == "AgentNotFound: no such agent"
    assert not_ready_message(session()) == "the operator has not reported a condition yet"


def test_human_token_allows_only_given_room() -> None:
    claims = api.TokenVerifier(KEY, SECRET).verify(human_token(KEY, SECRET, "vs-a", "person-x", "Alice"))
    assert (claims.identity, claims.name, claims.kind) == ("person-x", "Alice", "standard")
    assert claims.attributes == {"voicesession.role": "human"}
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == ("vs-a", True)
    assert not claims.video.room_create
    assert not claims.video.room_admin
    assert not claims.video.room_list
