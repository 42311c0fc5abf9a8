"""Memory is backed up and restored with the commands of docs/operations/backup.md."""

import pytest

from tests.support.cluster.kubectl import Json
from tests.support.cluster.letta import open_letta
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.documents.blocks import named
from tests.support.documents.reader import at_the_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive, pytest.mark.timeout(900)]

LABEL = "human"
BEFORE = "The user's favorite color is blue."


def create_with_memory(scenario: Scenario, agent_66: Json, name: str) -> str:
    """Create a VoiceAgent with its own memory; return its Letta agent."""
    scenario.kube.apply(copy_of(agent_66, name, scenario.namespace))
    scenario.kube.wait(f"voiceagent/{name}", "condition=Ready", scenario.namespace, 180)
    found = scenario.kube.get("voiceagent", name, scenario.namespace)
    assert found
    return str(found["status"]["letta"]["agentID"])


def test_restore_recovers_memory(scenario: Scenario, agent_66: Json) -> None:
    memory = create_with_memory(scenario, agent_66, "agent-66")
    with at_the_cluster(scenario.kube) as reader:
        with open_letta(scenario.kube) as letta:
            letta.write(memory, LABEL, BEFORE)
        reader.run(named("back-up"))
        with open_letta(scenario.kube) as letta:
            letta.write(memory, LABEL, "Nothing is known about the user.")

        reader.run(named("restore"))

    with open_letta(scenario.kube) as letta:
        assert letta.block(memory, LABEL) == BEFORE
    assert create_with_memory(scenario, agent_66, "another") not in ("", memory)
