"""The decision whether a kind cluster is kept or recreated, with a simulated docker and kubectl."""

import json
from dataclasses import dataclass, field

import pytest

from hack.cluster import kind
from hack.cluster.process import CommandError

NODE = "voicesession-control-plane"


@dataclass
class SimulatedCluster:
    """Answers docker and kubectl for a cluster of one node, and records each `kind` command."""

    started_at: str = "2026-01-01T00:00:00Z"
    stored: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    def output(self, *command: str, timeout: float | None = None, stdin: str | None = None) -> str:
        match command:
            case ("docker", "ps", *_):
                return NODE
            case ("docker", "inspect", "--format", "{{.State.StartedAt}}", _):
                return self.started_at
            case ("docker", "inspect", *_):
                return "true sha256:node"
            case (_, "get", "clusters"):
                return kind.CLUSTER
            case ("kubectl", *_, "json"):
                return json.dumps({"data": self.stored})
            case ("kubectl", _, _, "create", *options):
                literal = f"--from-literal={kind.STARTS}="
                (starts,) = (option.removeprefix(literal) for option in options if option.startswith(literal))
                self.stored = {kind.CONFIG.name: kind.CONFIG.read_text(), kind.STARTS: starts}
        return ""

    def run(self, *command: str, log: object) -> None:
        self.commands.append(command[1])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimulatedCluster:
    """Return a cluster that `ensure` created."""
    made = SimulatedCluster()
    monkeypatch.setattr(kind, "output", made.output)
    monkeypatch.setattr(kind, "run", made.run)
    monkeypatch.setattr(kind, "succeeds", lambda *_, **__: True)
    monkeypatch.setattr(kind.programs, "path", lambda name: name)
    monkeypatch.setattr(kind.offline_images, "is_built_here", lambda _: False)
    kind.ensure(lambda _: None)
    made.commands.clear()
    return made


def test_unchanged_cluster_is_kept(cluster: SimulatedCluster) -> None:
    kind.ensure(lambda _: None)
    assert cluster.commands == []


def test_restarted_cluster_is_recreated(cluster: SimulatedCluster) -> None:
    cluster.started_at = "2026-01-02T00:00:00Z"
    kind.ensure(lambda _: None)
    assert cluster.commands == ["delete", "create"]
    cluster.commands.clear()
    kind.ensure(lambda _: None)
    assert cluster.commands == []


def test_cluster_with_other_configuration_is_recreated(cluster: SimulatedCluster) -> None:
    cluster.stored[kind.CONFIG.name] = "kind: Cluster"
    kind.ensure(lambda _: None)
    assert cluster.commands == ["delete", "create"]


def test_cluster_without_answer_is_recreated(cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = cluster.output

    def refuse_reads(*command: str, timeout: float | None = None, stdin: str | None = None) -> str:
        if command[-1] == "json":
            raise CommandError(command, 1, "EOF")
        return answer(*command, timeout=timeout, stdin=stdin)

    monkeypatch.setattr(kind, "output", refuse_reads)
    kind.ensure(lambda _: None)
    assert cluster.commands == ["delete", "create"]
