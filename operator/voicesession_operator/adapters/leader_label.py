"""The leader's mark: the webhook Service selects the one pod that bears it."""

from typing import Final, Protocol

from voicesession_operator.adapters.errors import NotFound
from voicesession_operator.adapters.kube import PODS, Object, Resource
from voicesession_operator.api.names import LEADER_LABEL

RELEASE_LABEL: Final = "app.kubernetes.io/instance"


class PodLabels(Protocol):
    """The part of the Kubernetes API that the mark needs."""

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[Object], str]: ...
    async def patch(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...


async def take(kube: PodLabels, namespace: str, release: str, pod: str) -> None:
    """Put the mark on `pod` and take it from every other pod of the release. Raises OutsideError."""
    await _mark(kube, namespace, pod, "true")
    marked, _ = await kube.list(PODS, namespace, f"{RELEASE_LABEL}={release},{LEADER_LABEL}=true")
    for other in marked:
        if other["metadata"]["name"] != pod:
            await _mark(kube, namespace, other["metadata"]["name"], None)


async def _mark(kube: PodLabels, namespace: str, pod: str, value: str | None) -> None:
    try:
        await kube.patch(PODS, namespace, pod, {"metadata": {"labels": {LEADER_LABEL: value}}})
    except NotFound:
        return
