"""Leader election by a Lease: one holder, taken over only after it has stood still for its whole duration."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from voicesession_common import JsonObject
from voicesession_common.api.constants import LEADER_LABEL
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import LEASES, PODS, Resource

log = logging.getLogger(__name__)

RETRIES_PER_DURATION: Final = 4
"""Renewals per lease duration: two may fail before the holder gives up."""
DEADLINE_SHARE: Final = 0.7
"""Part of the duration after which a holder that cannot renew stops leading, before anybody else may start."""


class LeaseLost(Exception):  # noqa: N818 - an outcome, not a mistake
    """Somebody else leads, or the Lease could not be renewed in time."""


class LeaseStore(Protocol):
    """The part of the Kubernetes API that an election needs."""

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject: ...
    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject: ...
    async def replace(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject: ...


class Elector:
    """One candidate. `clock` gives wall time for the record; `monotonic` measures how long a record stands still."""

    def __init__(
        self,
        store: LeaseStore,
        namespace: str,
        name: str,
        identity: str,
        duration_seconds: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration = duration_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._held: JsonObject | None = None
        self._seen_version = ""
        self._seen_at = 0.0
        self.reachable = False
        """Whether the last look at the Lease worked: a candidate that cannot see it is of no use as a stand-by."""

    @property
    def retry_seconds(self) -> float:
        return self._duration / RETRIES_PER_DURATION

    async def acquire(self) -> None:
        """Wait until this candidate holds the Lease."""
        while True:
            if await self.attempt():
                return
            await asyncio.sleep(self.retry_seconds)

    async def hold(self) -> None:
        """Renew for ever. Raises LeaseLost."""
        renewed = self._monotonic()
        while True:
            await asyncio.sleep(self.retry_seconds)
            try:
                async with asyncio.timeout(max(renewed + self._duration * DEADLINE_SHARE - self._monotonic(), 0.01)):
                    if await self.renew():
                        renewed = self._monotonic()
            except TimeoutError:
                pass
            if self._monotonic() - renewed >= self._duration * DEADLINE_SHARE:
                raise LeaseLost("could not renew in time")

    async def attempt(self) -> bool:
        """Try once to become the holder."""
        try:
            lease = await self._read()
            self.reachable = True
            if not self._free(lease):
                return False
            self._held = await self._write(lease)
        except ConflictError:
            return False
        except ExternalError as error:
            self.reachable = False
            log.warning("the lease cannot be read or written", extra={"reason": error.reason})
            return False
        return True

    async def renew(self) -> bool:
        """Write a fresh renewTime; False if it did not work this time. Raises LeaseLost if somebody else holds it."""
        try:
            lease = await self._store.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") != self._identity:
                raise LeaseLost("somebody else holds the lease")
            self._held = await self._write(lease)
        except ExternalError as error:
            log.warning("the lease could not be renewed", extra={"reason": error.reason})
            return False
        return True

    async def release(self) -> None:
        """Give the Lease up, so that the next candidate need not wait; does nothing for one that does not hold it."""
        if self._held is None:
            return
        spec = {**self._held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        held, self._held = self._held, None
        try:
            await self._store.replace(LEASES, self._namespace, self._name, {**held, "spec": spec})
        except ExternalError as error:
            log.warning("the lease could not be released", extra={"reason": error.reason})

    async def _read(self) -> JsonObject | None:
        try:
            return await self._store.get(LEASES, self._namespace, self._name)
        except NotFoundError:
            return None

    def _free(self, lease: JsonObject | None) -> bool:
        """Whether it may be taken. Its age is judged by our own clock, from when we first saw this very record."""
        if lease is None:
            return True
        version = lease["metadata"].get("resourceVersion", "")
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, self._monotonic()
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity", "") in ("", self._identity):
            return True
        return self._monotonic() - self._seen_at >= float(spec.get("leaseDurationSeconds", self._duration))

    async def _write(self, lease: JsonObject | None) -> JsonObject:
        old: dict[str, Any] = (lease or {}).get("spec") or {}
        now = to_rfc3339(self._clock()).replace("Z", "000Z")
        same = old.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration),
            "acquireTime": old.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": old.get("leaseTransitions", 0) + (0 if same else 1),
        }
        if lease is None:
            named = {"metadata": {"name": self._name}, "spec": spec}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **named}
            return await self._store.create(LEASES, self._namespace, body)
        return await self._store.replace(LEASES, self._namespace, self._name, {**lease, "spec": spec})


RELEASE_LABEL: Final = "app.kubernetes.io/instance"


class PodLabels(Protocol):
    """The part of the Kubernetes API that the mark needs."""

    async def list(
        self, resource: Resource, namespace: str = "", selector: str = ""
    ) -> tuple[list[JsonObject], str]: ...
    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject: ...


async def take(kube: PodLabels, namespace: str, release: str, pod: str) -> None:
    """Put the mark on `pod` and take it from every other pod of the release. Raises ExternalError."""
    await _mark(kube, namespace, pod, "true")
    marked, _ = await kube.list(PODS, namespace, f"{RELEASE_LABEL}={release},{LEADER_LABEL}=true")
    for other in marked:
        if other["metadata"]["name"] != pod:
            await _mark(kube, namespace, other["metadata"]["name"], None)


async def _mark(kube: PodLabels, namespace: str, pod: str, value: str | None) -> None:
    try:
        await kube.patch(PODS, namespace, pod, {"metadata": {"labels": {LEADER_LABEL: value}}})
    except NotFoundError:
        return
