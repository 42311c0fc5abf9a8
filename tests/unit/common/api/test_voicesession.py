"""Parsing and rendering of the custom resources, and conditions as values."""

from typing import Any

import pytest
from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition
from voicesession_common.api.timestamps import from_rfc3339, is_rfc3339, to_rfc3339
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import LastReset, Limits, OnLastHumanLeft, Status, VoiceSession

from tests.support.builders import T0, ready_session

RAW: dict[str, Any] = {
    "metadata": {
        "namespace": "default",
        "name": "hello",
        "uid": "u",
        "generation": 3,
        "creationTimestamp": "2025-11-22T23:20:00Z",
    },
    "spec": {"agentRef": {"name": "agent-66"}},
}


def test_defaults() -> None:
    parsed = VoiceSession.parse(RAW)
    assert (parsed.limits, parsed.on_last_human_left) == (Limits(), OnLastHumanLeft())
    assert (parsed.ttl_seconds_after_finished, parsed.end, parsed.deleting) == (600, False, False)
    assert parsed.created_at == T0
    assert parsed.status == Status()


def test_session_outranks_its_agent_field_by_field() -> None:
    raw = {**RAW, "spec": {**RAW["spec"], "limits": {"joinSeconds": 7}, "onLastHumanLeft": {"graceSeconds": 0}}}
    agent_spec = {"limits": {"joinSeconds": 9, "maxReplacements": 1}, "onLastHumanLeft": {"reconnectGraceSeconds": 5}}
    parsed = VoiceSession.parse(raw, agent_spec)
    assert parsed.limits == Limits(join_seconds=7, max_replacements=1)
    assert parsed.on_last_human_left == OnLastHumanLeft(grace_seconds=0, reconnect_grace_seconds=5)


def test_ttl_can_be_switched_off() -> None:
    raw = {**RAW, "spec": {**RAW["spec"], "ttlSecondsAfterFinished": None}}
    assert VoiceSession.parse(raw).ttl_seconds_after_finished is None


def test_status_survives_the_api_server() -> None:
    reset = LastReset("Requested", T0 + 20, T0 + 20.25, "Complete", "2026-11-24T10:45:05Z")
    times = {"first_human_at": T0 + 9.25, "last_human_left_reason": "Left"}
    status = ready_session().status(**times, last_reset=reset, refused_request="soon").build().status
    stored = {key: value for key, value in status.render().items() if value is not None}
    assert Status.parse(stored) == status


def test_status_parses_nulls() -> None:
    assert Status.parse({"room": None, "agent": None, "conditions": None, "endReason": None}) == Status()


def test_voice_agent_with_memory() -> None:
    raw = {
        "metadata": {"namespace": "n", "name": "a", "uid": "u"},
        "spec": {"memory": {"letta": {"agent": "Agent_66", "blocks": [{"label": "x"}], "capture": False}}},
        "status": {"letta": {"agentID": "agent-1"}, "observedGeneration": 2},
    }
    parsed = VoiceAgent.parse(raw)
    assert parsed.letta is not None
    assert (parsed.letta.agent, parsed.letta.capture, parsed.letta_agent_id) == ("Agent_66", False, "agent-1")
    assert parsed.display_name == "a"


def test_times_round_trip() -> None:
    assert to_rfc3339(1763853611.5) == "2025-11-22T23:20:11.500Z"
    assert from_rfc3339("2025-11-22T23:20:11.500Z") == 1763853611.5
    assert from_rfc3339(None) is None
    with pytest.raises(ValueError, match="tomorrow"):
        from_rfc3339("tomorrow")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2026-11-24T10:45:05Z", True),
        ("2026-11-24T10:45:05.123456789Z", True),
        ("2026-11-24t11:45:05+01:00", True),
        ("2026-11-24T10:45:05", False),
        ("2026-11-24 10:45:05Z", False),
        ("2026-11-24", False),
        ("2026-02-30T10:45:05Z", False),
        ("2026-W48-2", False),
        ("1763853611", False),
        ("\u0662026-11-24T10:45:05Z", False),
        ("now", False),
        ("", False),
    ],
)
def test_other_peoples_times(text: str, right: bool) -> None:
    assert is_rfc3339(text) is right


def test_what_asks_for_a_reset_is_read_so_far() -> None:
    def request(**metadata: Any) -> str:
        return VoiceSession.parse({**RAW, "metadata": RAW["metadata"] | metadata}).reset_request

    assert (request(), request(annotations=None), request(annotations={"other": "x"})) == ("", "", "")
    annotation = constants.RESET_REQUESTED_AT_ANNOTATION
    assert request(annotations={annotation: "2026-11-24T10:45:05Z"}) == "2026-11-24T10:45:05Z"
    assert len(request(annotations={annotation: "x" * 1000})) == 64


def test_transition_time_moves_only_with_the_status() -> None:
    first = set_condition((), Condition("Ready", "False", "A"), 1.0)
    same = set_condition(first, Condition("Ready", "False", "B", "why"), 2.0)
    other = set_condition(same, Condition("Ready", "True", "C"), 3.0)
    assert [find_condition(c, "Ready").since for c in (first, same, other)] == [1.0, 1.0, 3.0]  # type: ignore[union-attr]
    assert is_condition_true(other, "Ready")
    assert not is_condition_true(other, "Finished")
