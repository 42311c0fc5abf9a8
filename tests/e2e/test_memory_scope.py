"""The built-in `memory.letta.scope`, User: each user has a separate memory, and the user's next session finds it."""

import copy

import pytest

from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.letta import open_letta
from tests.support.cluster.scenario import START_SECONDS, Scenario
from tests.support.participants.code_words import UNKNOWN_KEYWORDS
from tests.support.participants.speaker import Speaker
from tests.support.participants.spoken_turns import ASK, REMEMBER
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.speech, pytest.mark.timeout(600)]

MEMORY_SECONDS = 30
"""Time until a user's Letta agent is found or created; sessions do not wait for it."""
END_SECONDS = 40
LABEL = "human"


def test_user_memory_is_separate_and_found_again(scenario: Scenario, agent_66: Json) -> None:
    own = copy.deepcopy(agent_66["spec"]["memory"])
    del own["letta"]["scope"], own["letta"]["remember"]
    scenario.kube.apply(manifests.copy_of(agent_66, "agent-66", scenario.namespace, "greeting", memory=own))
    scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)

    with open_letta(scenario.kube) as letta:
        alices, answered = _conversation(scenario, "first", "alice", REMEMBER, "blue")
        until(lambda: "blue" in letta.block(alices, LABEL), "the color in Alice's block", 15, poll=0.5)
        bobs, unknown = _conversation(scenario, "second", "bob", ASK, *UNKNOWN_KEYWORDS)
        again, known = _conversation(scenario, "third", "alice", ASK, "blue")

        assert answered, "Alice got no answer"
        assert unknown, "the agent knows Alice's color in Bob's session"
        assert known, "the agent does not know Alice's color in the next session of Alice"
        assert (again, bobs) == (alices, bobs)
        assert len({alices, bobs, _shared(scenario)}) == 3, "two users and the VoiceAgent have three Letta agents"
        assert "blue" not in letta.block(bobs, LABEL) + letta.block(_shared(scenario), LABEL)


def _conversation(scenario: Scenario, name: str, user: str, text: str, *keywords: str) -> tuple[str, bool]:
    """Say one sentence in a session of the user; return the Letta agent, and whether the answer has the keywords."""
    scenario.kube.apply(manifests.for_user(manifests.session(name, scenario.namespace, "agent-66"), user))
    scenario.kube.wait(f"voicesession/{name}", "condition=Ready", scenario.namespace, START_SECONDS)
    session = until(lambda: _with_memory(scenario, name), f"the memory of {user}", MEMORY_SECONDS)
    with Speaker(scenario.livekit, session, user) as speaker:
        speaker.join()
        speaker.wait_for_agent()
        answer = speaker.say(text, *keywords)
        speaker.leave()
    scenario.wait_until_finished(name, END_SECONDS)
    return _memory_agent(session), answer.is_expected


def _with_memory(scenario: Scenario, name: str) -> Session | None:
    found = scenario.find_session(name)
    return found if found and _memory_agent(found) else None


def _memory_agent(session: Session) -> str:
    return str((session.status.get("agent") or {}).get("memoryAgentID") or "")


def _shared(scenario: Scenario) -> str:
    """Return the VoiceAgent's Letta agent, which sessions without a user share."""
    found = scenario.kube.get("voiceagent", "agent-66", scenario.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])
