"""What every bench stands on: the cluster, LiveKit, and a namespace of its own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hack.cluster import constants
from tests.bench.start_timeline import Timeline
from tests.support.cluster import manifests, operator_pods, rooms
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Trial


@dataclass
class Ground:
    trial: Trial
    timeline: Timeline

    @property
    def kube(self) -> Kube:
        return self.trial.kube

    def example_agent(self, *without: str, **changes: Json) -> Json:
        """A copy of the example VoiceAgent in this namespace, with changes; returns it as applied."""
        copied = copy_of(manifests.example_agent(), constants.EXAMPLE_AGENT, self.trial.namespace, *without, **changes)
        self.kube.apply(copied)
        return copied

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)


@contextmanager
def ground(name: str) -> Iterator[Ground]:
    """A fresh namespace with the fake agent in it; it is deleted afterwards."""
    kube = Kube()
    operator_pods.leader(kube)
    namespace = f"bench-{name}-{secrets.token_hex(3)}"
    kube.run("create", "namespace", namespace)
    trial = Trial(kube, rooms.connect(kube), namespace)
    trial.fake_agent()
    timeline = Timeline(namespace)
    try:
        yield Ground(trial, timeline)
    finally:
        timeline.close()
        trial.close()
        kube.run("delete", "namespace", namespace, "--wait=false")


def versions(kube: Kube) -> str:
    """Kubernetes and the images that are measured."""
    node = kube.all("nodes")[0]["status"]["nodeInfo"]
    images = {c["image"] for p in kube.all("pods", constants.NAMESPACE) for c in p["spec"]["containers"]}
    short = sorted(image.rsplit("/", 1)[-1] for image in images)
    return f"Kubernetes {node['kubeletVersion']}, {', '.join(short)}"
