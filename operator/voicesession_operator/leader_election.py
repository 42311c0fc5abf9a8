"""Leader election with a Lease, and the label that directs webhooks to the leader.

There is one holder. A candidate takes over only after the record has not changed for its whole duration.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import LEADER_LABEL
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import LEASES, PODS, KubernetesApi

log = logging.getLogger(__name__)

RETRIES_PER_DURATION: Final = 4
"""Renewals per lease duration: two may fail before the holder gives up."""
DEADLINE_SHARE: Final = 0.7
"""Part of the duration after which a holder that cannot renew stops leading, before any candidate may take over."""
LABEL_CHECK_SECONDS: Final = 10.0
"""Longest time that a label changed by somebody else, or by a late request of the last leader, misdirects webhooks."""
LABEL_RETRY_SECONDS: Final = 1.0
RELEASE_LABEL: Final = "app.kubernetes.io/instance"


class LeaseLostError(Exception):
    """Another candidate holds the Lease, or it could not be renewed in time."""


class LeaderElector:
    """One candidate. `clock` gives wall time for the record; `monotonic` measures how long a record is unchanged."""

    def __init__(
        self,
        kube: KubernetesApi,
        namespace: str,
        name: str,
        identity: str,
        duration_seconds: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration = duration_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._held: JsonObject | None = None
        self._observed_version = ""
        self._observed_at = 0.0
        self._renewed_at = 0.0
        """Time (monotonic seconds) just before the request of the last successful write.

        Other candidates measure from their first read of that write, which is later, however late its answer was.
        """
        self.reachable = False
        """Whether the last access to the Lease succeeded; a standby that cannot read it is not ready."""

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
        """Renew forever. Raise LeaseLostError when the Lease is lost."""
        while True:
            await asyncio.sleep(self.retry_seconds)
            try:
                async with asyncio.timeout(max(self._remaining_seconds(), 0.01)):
                    await self.renew()
            except TimeoutError:
                pass
            if self._remaining_seconds() <= 0:
                raise LeaseLostError("could not renew in time")

    def _remaining_seconds(self) -> float:
        """Return the seconds until this holder must stop leading."""
        return self._renewed_at + self._duration * DEADLINE_SHARE - self._monotonic()

    async def attempt(self) -> bool:
        """Try once to become the holder."""
        asked = self._monotonic()
        try:
            lease = await self._read()
            self.reachable = True
            if not self._is_free(lease):
                return False
            self._held = await self._write(lease)
            self._renewed_at = asked
        except ConflictError:
            return False
        except ExternalError as error:
            self.reachable = False
            log.warning("the lease cannot be read or written", extra={"reason": error.reason})
            return False
        return True

    async def renew(self) -> bool:
        """Write a new renewTime. Return False if the write failed; raise LeaseLostError if there is another holder."""
        asked = self._monotonic()
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") != self._identity:
                raise LeaseLostError("another replica holds the lease")
            self._held = await self._write(lease)
            self._renewed_at = asked
        except ExternalError as error:
            log.warning("the lease could not be renewed", extra={"reason": error.reason})
            return False
        return True

    async def release(self) -> None:
        """Give up the Lease so that the next candidate need not wait; do nothing if it is not held."""
        if self._held is None:
            return
        spec = {**self._held["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        held, self._held = self._held, None
        try:
            await self._kube.replace(LEASES, self._namespace, self._name, {**held, "spec": spec})
        except ExternalError as error:
            log.warning("the lease could not be released", extra={"reason": error.reason})

    async def _read(self) -> JsonObject | None:
        try:
            return await self._kube.get(LEASES, self._namespace, self._name)
        except NotFoundError:
            return None

    def _is_free(self, lease: JsonObject | None) -> bool:
        """Return whether the Lease may be taken.

        Its age is measured with this candidate's own clock, from its first read of this version.
        """
        if lease is None:
            return True
        version = lease["metadata"].get("resourceVersion", "")
        if version != self._observed_version:
            self._observed_version, self._observed_at = version, self._monotonic()
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity", "") in ("", self._identity):
            return True
        return self._monotonic() - self._observed_at >= float(spec.get("leaseDurationSeconds", self._duration))

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
            return await self._kube.create(LEASES, self._namespace, body)
        return await self._kube.replace(LEASES, self._namespace, self._name, {**lease, "spec": spec})


async def keep_leader_label(kube: KubernetesApi, namespace: str, release: str, pod: str) -> None:
    """Keep the leader's label on `pod` only, forever, also after another client changes it.

    Without the label no webhooks are delivered, and polling replaces them.
    """
    while True:
        seconds = LABEL_CHECK_SECONDS
        try:
            await label_leader(kube, namespace, release, pod)
        except ExternalError as error:
            log.warning("the leader label could not be set", extra={"reason": error.reason})
            seconds = LABEL_RETRY_SECONDS
        except Exception:
            log.exception("the leader label could not be set")
            seconds = LABEL_RETRY_SECONDS
        await asyncio.sleep(seconds)


async def label_leader(kube: KubernetesApi, namespace: str, release: str, pod: str) -> None:
    """Label `pod` as the leader and remove the label from every other pod of the release. Raise ExternalError."""
    labeled, _ = await kube.list(PODS, namespace, f"{RELEASE_LABEL}={release},{LEADER_LABEL}=true")
    names = {other["metadata"]["name"] for other in labeled}
    if pod not in names:
        await _set_label(kube, namespace, pod, "true")
    for other in sorted(names - {pod}):
        await _set_label(kube, namespace, other, None)


async def _set_label(kube: KubernetesApi, namespace: str, pod: str, value: str | None) -> None:
    try:
        await kube.patch(PODS, namespace, pod, {"metadata": {"labels": {LEADER_LABEL: value}}})
    except NotFoundError:
        return
