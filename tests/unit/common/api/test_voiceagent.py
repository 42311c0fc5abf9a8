"""Parsing of VoiceAgents."""

from voicesession_common.api.constants import FORGET_USER_ANNOTATION
from voicesession_common.api.voiceagent import VoiceAgent


def test_voice_agent_parse_reads_memory() -> None:
    raw = {
        "metadata": {"namespace": "n", "name": "a", "uid": "u"},
        "spec": {"memory": {"letta": {"agent": "Agent_66", "blocks": [{"label": "x"}], "capture": False}}},
        "status": {"letta": {"agentID": "agent-1"}, "observedGeneration": 2},
    }
    parsed = VoiceAgent.parse(raw)
    assert parsed.letta is not None
    assert (parsed.letta.agent, parsed.letta.capture, parsed.letta_agent_id) == ("Agent_66", False, "agent-1")
    assert parsed.display_name == "a"


def test_voice_agent_parse_reads_requests_to_forget_and_their_answers() -> None:
    annotations = {f"{FORGET_USER_ANNOTATION}r1": "alice", "foreign": "x"}
    answer = {"request": "r0", "completedAt": "2026-01-01T10:00:00.000Z", "removed": 1}
    raw = {
        "metadata": {"namespace": "n", "name": "a", "uid": "u", "annotations": annotations},
        "spec": {},
        "status": {"forgotten": [answer]},
    }
    parsed = VoiceAgent.parse(raw)
    assert parsed.forget_requests == (("r1", "alice"),)
    assert [item.render() for item in parsed.forgotten] == [answer]
    assert "alice" not in repr(parsed)
