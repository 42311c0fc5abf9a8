"""Parsing of VoiceAgents."""

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
