"""Reading a VoiceSession: Ready, not yet, or never."""

from typing import Any

import pytest
from voicesession_cli.errors import CommandError
from voicesession_cli.voice.livekit_access import ready_or_finished, why_not


def session(status: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "metadata": {"namespace": "calls", "name": "hello", **metadata},
        "spec": {"agentRef": {"name": "agent-66"}},
    }
    return raw if status is None else raw | {"status": status}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def test_ready() -> None:
    status = {
        "conditions": [condition("Ready", "True"), condition("Finished", "False")],
        "room": {"name": "vs-a", "url": "ws://lk:1"},
        "agent": {"identity": "agent-agent-66"},
    }
    found = ready_or_finished(session(status))
    assert found is not None
    assert (found.namespace, found.name, found.room, found.url) == ("calls", "hello", "vs-a", "ws://lk:1")
    assert (found.agent, found.agent_identity) == ("agent-66", "agent-agent-66")


@pytest.mark.parametrize("status", [None, {}, {"conditions": [condition("Ready", "False", "Starting")]}])
def test_not_yet(status: dict[str, Any] | None) -> None:
    assert ready_or_finished(session(status)) is None


def test_finished_says_why() -> None:
    status = {"conditions": [condition("Finished", "True")], "endReason": "LastHumanLeft"}
    with pytest.raises(CommandError, match="calls/hello has finished: LastHumanLeft") as ended:
        ready_or_finished(session(status))
    assert ended.value.code == 1


def test_being_deleted() -> None:
    with pytest.raises(CommandError, match="is being deleted"):
        ready_or_finished(session({}, deletionTimestamp="2026-01-01T00:00:00Z"))


def test_why_not_repeats_the_operator_once() -> None:
    status = {
        "conditions": [
            condition("RoomReady", "True", "RoomCreated", "The room exists"),
            condition("AgentJoined", "False", "AgentNotFound", "no such agent"),
            condition("Ready", "False", "AgentNotFound", "no such agent"),
            condition("Finished", "False", "Running", "not over"),
        ]
    }
    assert why_not(session(status)) == "AgentNotFound: no such agent"
    assert why_not(session()) == "the operator has not said anything about it yet"
