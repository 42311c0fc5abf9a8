"""Memory is backed up and restored with the commands of docs/operations/backup.md."""

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.letta import opened
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Trial
from tests.support.documents.blocks import named
from tests.support.documents.reader import at_the_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive, pytest.mark.timeout(900)]

LABEL = "human"
BEFORE = "Her favorite color is blue."


def remembers(trial: Trial, agent_66: Json, name: str) -> str:
    """A VoiceAgent with a memory of its own; returns its Letta agent."""
    trial.kube.apply(copy_of(agent_66, name, trial.namespace))
    trial.kube.wait(f"voiceagent/{name}", "condition=Ready", trial.namespace, 180)
    found = trial.kube.get("voiceagent", name, trial.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])


def test_restore_recovers_memory(trial: Trial, agent_66: Json) -> None:
    memory = remembers(trial, agent_66, "agent-66")
    with at_the_cluster(trial.kube) as reader:
        with opened(trial.kube) as letta:
            letta.write(memory, LABEL, BEFORE)
        reader.run(named("back-up"))
        with opened(trial.kube) as letta:
            letta.write(memory, LABEL, "Nothing is known of her.")

        reader.run(named("restore"))

    with opened(trial.kube) as letta:
        assert letta.block(memory, LABEL) == BEFORE
    assert remembers(trial, agent_66, "another") not in ("", memory)
