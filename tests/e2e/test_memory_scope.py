"""`memory.letta.scope: User`: each user is remembered alone, and found again by the next session."""

import copy

import pytest

from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.letta import opened
from tests.support.cluster.scenario import START_SECONDS, Trial
from tests.support.participants.code_words import UNKNOWN
from tests.support.participants.speaker import Guest
from tests.support.participants.spoken_turns import ASK, REMEMBER
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech, pytest.mark.timeout(600)]

KNOWN_SECONDS = 30
"""Until a user's Letta agent is found or made; sessions do not wait for it."""
END_SECONDS = 40
LABEL = "human"


def test_two_users_share_nothing_and_each_is_known_again(trial: Trial, agent_66: Json) -> None:
    own = copy.deepcopy(agent_66["spec"]["memory"])
    own["letta"]["scope"] = "User"
    trial.kube.apply(manifests.copy_of(agent_66, "agent-66", trial.namespace, "greeting", memory=own))
    trial.kube.wait("voiceagent/agent-66", "condition=Ready", trial.namespace, 120)

    with opened(trial.kube) as letta:
        alices, told = _conversation(trial, "first", "alice", REMEMBER, "blue")
        until(lambda: "blue" in letta.block(alices, LABEL), "the color in Alice's block", 15, poll=0.5)
        bobs, asked = _conversation(trial, "second", "bob", ASK, *UNKNOWN)
        again, known = _conversation(trial, "third", "alice", ASK, "blue")

        assert told, "Alice was not answered"
        assert asked, "Bob is told what Alice said"
        assert known, "Alice is not known again"
        assert (again, bobs) == (alices, bobs)
        assert len({alices, bobs, _shared(trial)}) == 3, "the Letta agents of two users and of all others"
        assert "blue" not in letta.block(bobs, LABEL) + letta.block(_shared(trial), LABEL)


def _conversation(trial: Trial, name: str, user: str, text: str, *wanted: str) -> tuple[str, bool]:
    """One sentence in a session of that user; returns her Letta agent, and whether the answer has the wanted words."""
    trial.kube.apply(manifests.for_user(manifests.session(name, trial.namespace, "agent-66"), user))
    trial.kube.wait(f"voicesession/{name}", "condition=Ready", trial.namespace, START_SECONDS)
    session = until(lambda: _remembering(trial, name), f"the memory of {user}", KNOWN_SECONDS)
    with Guest(trial.livekit, session, user) as guest:
        guest.come()
        guest.meet()
        answer = guest.say(text, *wanted)
        guest.leave()
    trial.finished(name, END_SECONDS)
    return _memory(session), answer.told


def _remembering(trial: Trial, name: str) -> Session | None:
    found = trial.find(name)
    return found if found and _memory(found) else None


def _memory(session: Session) -> str:
    return str((session.status.get("agent") or {}).get("memoryAgentID") or "")


def _shared(trial: Trial) -> str:
    """The VoiceAgent's own Letta agent, for sessions of nobody in particular."""
    found = trial.kube.get("voiceagent", "agent-66", trial.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])
