"""What every bench stands on: the cluster, LiveKit, and a namespace of its own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hack.cluster import names
from tests.e2e import objects, operators, rooms
from tests.e2e.kubectl import Json, Kube
from tests.e2e.objects import copy_of
from tests.e2e.trial import Trial
from tests.load.timeline import Timeline


@dataclass
class Ground:
    trial: Trial
    timeline: Timeline

    @property
    def kube(self) -> Kube:
        return self.trial.kube

    def example_agent(self, *without: str, **changes: Json) -> Json:
        """A copy of the example VoiceAgent in this namespace, with changes; returns it as applied."""
        copied = copy_of(objects.example_agent(), names.EXAMPLE_AGENT, self.trial.namespace, *without, **changes)
        self.kube.apply(copied)
        return copied

    def say(self, text: str) -> None:
        print(f"  {text}", flush=True)


@contextmanager
def ground(name: str) -> Iterator[Ground]:
    """A fresh namespace with the fake agent in it; it is deleted afterwards."""
    kube = Kube()
    operators.leader(kube)
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
    images = {c["image"] for p in kube.all("pods", names.NAMESPACE) for c in p["spec"]["containers"]}
    short = sorted(image.rsplit("/", 1)[-1] for image in images)
    return f"Kubernetes {node['kubeletVersion']}, {', '.join(short)}"
