"""The environment of a benchmark: clients of the cluster and of LiveKit, and a new namespace."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hack.cluster import constants
from tests.bench.start_timeline import Timeline
from tests.support.cluster import manifests, operator_pods, rooms
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until


@dataclass
class BenchEnvironment:
    """A scenario in its own namespace, with a timeline of its objects."""

    scenario: Scenario
    timeline: Timeline

    @property
    def kube(self) -> Kube:
        """Return the client of the cluster."""
        return self.scenario.kube

    def example_agent(self, *without: str, **changes: Json) -> Json:
        """Apply a copy of the example VoiceAgent, with changes, in the namespace; return it."""
        copied = copy_of(
            manifests.example_agent(), constants.EXAMPLE_AGENT, self.scenario.namespace, *without, **changes
        )
        self.kube.apply(copied)
        return copied

    def wait_until_warm(self, pool: str, count: int, seconds: float) -> None:
        """Wait until the pool has so many warm pods, and none that is starting."""

        def is_warm() -> bool:
            status = (self.kube.get("voicepool", pool, self.scenario.namespace) or {}).get("status", {})
            return bool((status.get("warm"), status.get("warming")) == (count, 0))

        until(is_warm, f"{count} warm pods", seconds)

    def print_progress(self, text: str) -> None:
        """Print a line of progress."""
        print(f"  {text}", flush=True)


@contextmanager
def bench_environment(name: str) -> Iterator[BenchEnvironment]:
    """Create a namespace with the fake agent, and delete it afterwards."""
    kube = Kube()
    operator_pods.leader(kube)
    namespace = f"bench-{name}-{secrets.token_hex(3)}"
    kube.run("create", "namespace", namespace)
    scenario = Scenario(kube, rooms.connect(kube), namespace)
    scenario.apply_fake_agent()
    timeline = Timeline(namespace)
    try:
        yield BenchEnvironment(scenario, timeline)
    finally:
        timeline.close()
        scenario.close()
        kube.run("delete", "namespace", namespace, "--wait=false")


def versions(kube: Kube) -> str:
    """Return the versions of Kubernetes and of the measured images."""
    node = kube.all("nodes")[0]["status"]["nodeInfo"]
    images = {c["image"] for p in kube.all("pods", constants.NAMESPACE) for c in p["spec"]["containers"]}
    short = sorted(image.rsplit("/", 1)[-1] for image in images)
    return f"Kubernetes {node['kubeletVersion']}, {', '.join(short)}"
