"""`drain-check`: the agents and the LiveKit server on a node."""

import json
from typing import Any

import pytest
from voicesession_cli.arguments import DrainCheckArguments
from voicesession_cli.commands.drain_check import LIVEKIT_PODS, NODES, active_pods, drain_check
from voicesession_cli.errors import CommandError
from voicesession_cli.kube_client import AGENT_PODS, PODS, SESSIONS, path
from voicesession_common import JsonObject
from voicesession_common.api.constants import SESSION_UID_LABEL

from tests.support.fakes.cli_api import CREATED, FakeKubeApi, session


class FakeNode(FakeKubeApi):
    """The node `worker`; `pods` by selector."""

    def __init__(self) -> None:
        sessions = [session("talk", humans=2), session("wait"), session("over", phase="Finished")]
        super().__init__({path(NODES, "", "worker"): {}, path(SESSIONS): {"items": sessions}})
        self.pods: dict[str, list[JsonObject]] = {AGENT_PODS: [], LIVEKIT_PODS: []}

    def items(self, label: str, path: str, **query: str) -> list[JsonObject]:
        if path != PODS:
            return super().items(label, path, **query)
        assert query["fieldSelector"] == "spec.nodeName=worker"
        return self.pods[query["labelSelector"]]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    fake = FakeNode()
    fake.patch_into("commands.drain_check", monkeypatch)
    return fake


def agent_pod(name: str, **meta: Any) -> JsonObject:
    labels = {SESSION_UID_LABEL: f"uid-{name}"}
    return {"metadata": {"namespace": "calls", "name": f"{name}-0", "labels": labels, **meta}}


def livekit_pod(**meta: Any) -> JsonObject:
    return {"metadata": {"namespace": "home", "name": "v-livekit-1", **meta}}


def run(*, json_output: bool = False) -> int:
    return drain_check(DrainCheckArguments(context=None, json_output=json_output, node="worker"))


def test_empty_node_can_be_drained(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out == "worker runs no call\n"


def test_agents_on_node_are_listed(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods[AGENT_PODS] = [agent_pod("talk"), agent_pod("over")]
    assert run() == 1
    _, row, last = capsys.readouterr().out.splitlines()
    assert row.split() == ["calls", "talk", "Pending", "2", "talk-0"]
    assert last == "worker runs 1 call(s) with 2 human(s)"


def test_livekit_on_node_affects_all_calls(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods[LIVEKIT_PODS] = [livekit_pod()]
    assert run() == 1
    assert capsys.readouterr().out.splitlines() == [
        "worker runs no call",
        "worker runs LiveKit (home/v-livekit-1): draining it interrupts all 2 call(s) with 2 human(s)",
    ]


def test_livekit_without_calls_can_be_drained(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods[LIVEKIT_PODS] = [livekit_pod()]
    node.objects[path(SESSIONS)] = {"items": [session("over", phase="Finished")]}
    assert run() == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("interrupts no call")


def test_livekit_pod_in_deletion_does_not_count(node: FakeNode) -> None:
    node.pods[LIVEKIT_PODS] = [livekit_pod(deletionTimestamp="2026-01-01T10:00:00Z")]
    assert run() == 0


def test_json_output_has_calls_and_livekit(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods = {AGENT_PODS: [agent_pod("talk")], LIVEKIT_PODS: [livekit_pod()]}
    assert run(json_output=True) == 1
    load = json.loads(capsys.readouterr().out)
    call = {"namespace": "calls", "name": "talk", "phase": "Pending", "humans": 2, "pod": "talk-0"}
    assert (load["node"], load["humans"], load["calls"]) == ("worker", 2, [call])
    assert (load["livekit"], load["cutOffWithLiveKit"]) == (["home/v-livekit-1"], {"calls": 2, "humans": 2})
    node.pods[LIVEKIT_PODS] = []
    run(json_output=True)
    load = json.loads(capsys.readouterr().out)
    assert (load["livekit"], load["cutOffWithLiveKit"]) == ([], None)


def test_missing_node_is_an_error(node: FakeNode) -> None:
    node.objects.clear()
    with pytest.raises(CommandError, match="node worker not found"):
        run()


def test_finished_sessions_and_pods_in_deletion_do_not_count() -> None:
    sessions = [session("a"), session("b", humans=2), session("c", phase="Finished"), session("d")]
    pods = [*map(agent_pod, "abc"), agent_pod("d", deletionTimestamp=CREATED), agent_pod("stray")]
    assert [call.session.name for call in active_pods(pods, sessions)] == ["b", "a"]
