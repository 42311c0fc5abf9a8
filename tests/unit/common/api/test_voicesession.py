"""Parsing and rendering of VoiceSessions."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_common.api import constants
from voicesession_common.api.voiceagent import Inherited, Limits, OnLastHumanLeft
from voicesession_common.api.voicesession import Absence, LastReset, Outage, Status, VoiceSession

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


def test_parse_fills_defaults() -> None:
    parsed = VoiceSession.parse(RAW)
    assert (parsed.limits, parsed.on_last_human_left) == (Limits(), OnLastHumanLeft())
    assert (parsed.ttl_seconds_after_finished, parsed.end, parsed.deleting) == (600, False, False)
    assert parsed.created_at == T0
    assert parsed.status == Status()


def test_session_fields_override_agent_fields() -> None:
    raw = {**RAW, "spec": {**RAW["spec"], "limits": {"joinSeconds": 7}, "onLastHumanLeft": {"graceSeconds": 0}}}
    agent_spec = {"limits": {"joinSeconds": 9, "maxReplacements": 1}, "onLastHumanLeft": {"reconnectGraceSeconds": 5}}
    parsed = VoiceSession.parse(raw, agent_spec)
    assert parsed.limits == Limits(join_seconds=7, max_replacements=1)
    assert parsed.on_last_human_left == OnLastHumanLeft(grace_seconds=0, reconnect_grace_seconds=5)


def test_inherited_settings_win_over_agent_of_today() -> None:
    begun = Inherited.of_agent({"limits": {"joinSeconds": 9, "maxReplacements": 1}})
    raw = {**RAW, "spec": {**RAW["spec"], "limits": {"joinSeconds": 7}}, "status": {"inherited": begun.render()}}
    for agent_spec in (None, {"limits": {"joinSeconds": 1, "maxReplacements": 0, "maxDurationSeconds": 1}}):
        assert VoiceSession.parse(raw, agent_spec).limits == Limits(join_seconds=7, max_replacements=1)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [("2025-11-22T23:20:00.500Z", T0 + 0.5), ("2025-11-22t23:20:00z", T0), ("soon", None), ("", None)],
)
def test_parse_accepts_only_time_of_expected_human(annotation: str, expected: float | None) -> None:
    annotations = {constants.HUMAN_EXPECTED_AT_ANNOTATION: annotation}
    raw = {**RAW, "metadata": {**RAW["metadata"], "annotations": annotations}}
    assert VoiceSession.parse(raw).human_expected_at == expected


def test_parse_accepts_null_ttl() -> None:
    raw = {**RAW, "spec": {**RAW["spec"], "ttlSecondsAfterFinished": None}}
    assert VoiceSession.parse(raw).ttl_seconds_after_finished is None


def test_rendered_status_parses_to_same_value() -> None:
    reset = LastReset("Requested", T0 + 20, T0 + 20.25, "Complete", "2026-11-24T10:45:05Z")
    times = {"first_human_at": T0 + 9.25, "last_human_left_reason": "Left"}
    status = ready_session().status(**times, last_reset=reset, refused_request="soon").build().status
    status = replace(
        status,
        outages=(Outage(T0 + 30, T0 + 32.5),),
        absence=Absence("hello-0", T0 + 40, left=True),
        replacements=2,
        replaced_at=(T0 + 10, T0 + 20),
    )
    stored = {key: value for key, value in status.render().items() if value is not None}
    assert Status.parse(stored) == status


def test_status_parse_accepts_nulls() -> None:
    assert Status.parse({"room": None, "agent": None, "conditions": None, "endReason": None}) == Status()


def test_reset_request_is_read_up_to_limit() -> None:
    def request(**metadata: Any) -> str:
        return VoiceSession.parse({**RAW, "metadata": RAW["metadata"] | metadata}).reset_request

    assert (request(), request(annotations=None), request(annotations={"other": "x"})) == ("", "", "")
    annotation = constants.RESET_REQUESTED_AT_ANNOTATION
    assert request(annotations={annotation: "2026-11-24T10:45:05Z"}) == "2026-11-24T10:45:05Z"
    assert len(request(annotations={annotation: "x" * 1000})) == 64


def test_agent_metadata_is_parsed_and_hidden_in_repr() -> None:
    found = VoiceSession.parse({**RAW, "spec": {**RAW["spec"], "agentMetadata": "customer 7"}})
    assert found.agent_metadata == "customer 7"
    assert "customer 7" not in repr(found)
    assert VoiceSession.parse({**RAW, "spec": {"agentRef": {"name": "a"}}}).agent_metadata == ""
