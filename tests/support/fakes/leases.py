"""A fake Lease with versions, conflicts and outages, the pods of its holders, and candidates for it."""

import copy
from collections.abc import Callable

from voicesession_common import JsonObject
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, RetryableError
from voicesession_common.kube_client import PODS, Resource
from voicesession_operator.leader_election import CONTAINER, Identity, LeaderElector


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


STARTED = 1_000.5
"""Start of every process, in Unix seconds."""


class FakeLeases:
    """Kubernetes with at most one Lease, and with the pods of its holders by name."""

    def __init__(self) -> None:
        self.lease: JsonObject | None = None
        self.pods: dict[str, JsonObject] = {name: running(name) for name in "abc"}
        self.pod_error: ExternalError | None = None
        self.pod_reads = 0
        self.down = False
        self.version = 0
        self.on_read: Callable[[], None] = lambda: None
        self.on_stored: Callable[[], None] = lambda: None
        """Runs after a write is stored, before its answer."""

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        if resource is PODS:
            return self._pod(name)
        self.on_read()
        self._check()
        if self.lease is None:
            raise NotFoundError("NotFound", "no lease")
        return copy.deepcopy(self.lease)

    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject:
        self._check()
        if self.lease is not None:
            raise ConflictError("AlreadyExists", "taken")
        return self._put(body)

    async def replace(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        self._check()
        if self.lease is None or body["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError("Conflict", "changed")
        return self._put(body)

    def _pod(self, name: str) -> JsonObject:
        self.pod_reads += 1
        if self.pod_error is not None:
            raise self.pod_error
        if name not in self.pods:
            raise NotFoundError("NotFound", "no pod")
        return self.pods[name]

    def _check(self) -> None:
        if self.down:
            raise RetryableError("KubernetesUnavailable", "down")

    def _put(self, body: JsonObject) -> JsonObject:
        self.version += 1
        self.lease = copy.deepcopy({**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}})
        self.on_stored()
        return copy.deepcopy(self.lease)


def running(name: str) -> JsonObject:
    statuses = [{"name": "sidecar", "state": {"running": {}}}, {"name": CONTAINER, "state": {"running": {}}}]
    return {"metadata": {"uid": f"uid-{name}"}, "status": {"phase": "Running", "containerStatuses": statuses}}


def identity(name: str, started_at: float = STARTED) -> Identity:
    return Identity(name, f"uid-{name}", started_at)


def elector(
    leases: FakeLeases, name: str, clock: Clock, duration: float = 8, started_at: float = STARTED
) -> LeaderElector:
    return LeaderElector(leases, "system", "lease", identity(name, started_at), duration, clock, clock)


def holder(leases: FakeLeases) -> str:
    assert leases.lease is not None
    found: str = leases.lease["spec"]["holderIdentity"]
    return found.split("_", maxsplit=1)[0]
