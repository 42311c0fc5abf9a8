"""`kubectl voice drain-check`: the agents on a node, and LiveKit, without which no call goes on."""

import json
from typing import Any

import pytest
from voicesession_cli.arguments import DrainCheck
from voicesession_cli.commands.drain_check import LIVEKIT_PODS, NODES, drain_check
from voicesession_cli.errors import CommandError
from voicesession_cli.kube_client import AGENT_PODS, PODS, SESSIONS, path

from tests.support.fakes.cli_api import Json, StandIn, session

UID = "voicesession.dev/session-uid"


class Node(StandIn):
    """Called `worker`; `pods` by selector."""

    def __init__(self) -> None:
        sessions = [session("talk", humans=2), session("wait"), session("over", phase="Finished")]
        super().__init__({path(NODES, "", "worker"): {}, path(SESSIONS): {"items": sessions}})
        self.pods: dict[str, list[Json]] = {AGENT_PODS: [], LIVEKIT_PODS: []}

    def items(self, what: str, place: str, **query: str) -> list[Json]:
        if place != path(PODS):
            return super().items(what, place, **query)
        assert query["fieldSelector"] == "spec.nodeName=worker"
        return self.pods[query["labelSelector"]]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    made.instead_of("commands.drain_check", monkeypatch)
    return made


def agent(name: str) -> Json:
    return {"metadata": {"namespace": "calls", "name": f"{name}-0", "labels": {UID: f"uid-{name}"}}}


def server(**more: Any) -> Json:
    return {"metadata": {"namespace": "home", "name": "v-livekit-1", **more}}


def ask(*, json_output: bool = False) -> int:
    return drain_check(DrainCheck(context=None, json_output=json_output, node="worker"))


def test_a_node_that_holds_nothing(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask() == 0
    assert capsys.readouterr().out == "worker holds no call\n"


def test_agents_on_the_node(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods[AGENT_PODS] = [agent("talk"), agent("over")]
    assert ask() == 1
    _, row, last = capsys.readouterr().out.splitlines()
    assert row.split() == ["calls", "talk", "Pending", "2", "talk-0"]
    assert last == "worker holds 1 call(s) with 2 human(s)"


def test_livekit_on_the_node_holds_all_calls(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods[LIVEKIT_PODS] = [server()]
    assert ask() == 1
    assert capsys.readouterr().out.splitlines() == [
        "worker holds no call",
        "worker holds LiveKit (home/v-livekit-1): to drain it cuts off all 2 call(s) with 2 human(s)",
    ]


def test_without_live_calls_livekit_may_go(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods[LIVEKIT_PODS] = [server()]
    node.objects[path(SESSIONS)] = {"items": [session("over", phase="Finished")]}
    assert ask() == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("cuts off no call")


def test_a_livekit_that_goes_already_holds_nothing(node: Node) -> None:
    node.pods[LIVEKIT_PODS] = [server(deletionTimestamp="2026-01-01T10:00:00Z")]
    assert ask() == 0


def test_for_programs(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.pods = {AGENT_PODS: [agent("talk")], LIVEKIT_PODS: [server()]}
    assert ask(json_output=True) == 1
    told = json.loads(capsys.readouterr().out)
    call = {"namespace": "calls", "name": "talk", "phase": "Pending", "humans": 2, "pod": "talk-0"}
    assert (told["node"], told["humans"], told["calls"]) == ("worker", 2, [call])
    assert (told["livekit"], told["cutOffWithLiveKit"]) == (["home/v-livekit-1"], {"calls": 2, "humans": 2})
    node.pods[LIVEKIT_PODS] = []
    ask(json_output=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["livekit"], told["cutOffWithLiveKit"]) == ([], None)


def test_a_node_that_does_not_exist(node: Node) -> None:
    node.objects.clear()
    with pytest.raises(CommandError, match="node worker not found"):
        ask()
