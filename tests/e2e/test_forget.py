"""`kubectl voice forget`: the memory of a user is deleted in Letta, and not while the user talks."""

import json
import subprocess
import sys

import pytest

from hack.cluster import constants
from tests.support.cluster import manifests
from tests.support.cluster.letta import open_letta
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

pytestmark = [pytest.mark.cluster]

MEMORY_SECONDS = 60
FINISH_SECONDS = 60
BLOCKS = [{"label": "human", "value": "Likes blue."}]


def forget(namespace: str, user: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicesession_cli", "forget", user, "-n", namespace, "-o", "json"]
    command += ["--context", constants.CONTEXT]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_forget_deletes_the_memory_of_a_user_after_the_session(scenario: Scenario) -> None:
    definition = manifests.fake_agent("fake", scenario.namespace)
    definition["spec"]["memory"] = {"letta": {"blocks": BLOCKS, "retentionDays": 30}}
    call = manifests.for_user(manifests.session("call", scenario.namespace), "alice")
    scenario.kube.apply(definition, call)
    memory = until(lambda: _memory_agent(scenario, "call"), "the memory of alice", MEMORY_SECONDS)

    refused = forget(scenario.namespace, "alice")
    assert (refused.returncode, "of this user is live" in refused.stderr) == (1, True), refused.stderr
    scenario.kube.patch("voicesession", "call", scenario.namespace, {"spec": {"end": True}})
    scenario.wait_until_finished("call", FINISH_SECONDS)

    with open_letta(scenario.kube) as letta:
        blocks = letta.block_ids(memory)
        assert blocks
        done = forget(scenario.namespace, "alice")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["removed"] == 1
        assert not letta.exists(memory)
        assert not any(letta.block_exists(block) for block in blocks)
    assert json.loads(forget(scenario.namespace, "alice").stdout)["removed"] == 0
    until(lambda: not _requests(scenario), "the requests are removed after their answers", FINISH_SECONDS)


def _requests(scenario: Scenario) -> list[str]:
    found = scenario.kube.get("voiceagent", "fake", scenario.namespace)
    assert found
    return [name for name in found["metadata"].get("annotations", {}) if "forget-user" in name]


def _memory_agent(scenario: Scenario, name: str) -> str:
    found = scenario.find_session(name)
    return str((found.status.get("agent") or {}).get("memoryAgentID") or "") if found else ""
