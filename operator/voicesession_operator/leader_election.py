"""Leader election with a Lease.

There is one holder. Another candidate takes over when the record has not changed for its whole duration, or earlier
when the holder's pod shows that the holder's process has ended.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import LEASES, PODS, KubernetesApi

log = logging.getLogger(__name__)

RETRIES_PER_DURATION: Final = 4
"""Renewals per lease duration: two may fail before the holder gives up."""
DEADLINE_SHARE: Final = 0.7
"""Part of the duration after which a holder that cannot renew stops leading, before any candidate may take over."""
READS_PER_RETRY: Final = 2
"""Reads by a standby per renewal of the holder: a killed leader is found within two reads."""
RELEASE_SECONDS: Final = 3.0
"""Longest wait for the release, part of the 30 s that Kubernetes leaves a terminating pod."""
CONTAINER: Final = "operator"
"""Name of the operator's container in the chart; a sidecar's end is not the operator's."""


class LeaseLostError(Exception):
    """Another candidate holds the Lease, or it could not be renewed in time."""


@dataclass(frozen=True)
class Identity:
    """One process of a replica. As `holderIdentity` its form is `POD_UID_START`; a pod name has no underscore.

    `started_at` is a time of the process's start in Unix seconds by the clock of its node.
    """

    pod: str
    uid: str
    started_at: float

    def __str__(self) -> str:
        return f"{self.pod}_{self.uid}_{self.started_at:.3f}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the identity; None for text in another form, for example of another release."""
        pod, _, rest = text.partition("_")
        uid, _, started = rest.rpartition("_")
        try:
            return cls(pod, uid, float(started)) if pod and uid else None
        except ValueError:
            return None

    def precedes(self, other: Self) -> bool:
        """Return whether this is an earlier process of the same pod; it ended before its container was restarted."""
        return (self.pod, self.uid) == (other.pod, other.uid) and self.started_at < other.started_at


@dataclass(frozen=True)
class Record:
    """Contents of the Lease; `since` is the time (monotonic seconds) of the first read of `version`."""

    version: str
    holder: str
    duration: float
    since: float


class LeaderElector:
    """One candidate. `clock` gives wall time for the record; `monotonic` measures how long a record is unchanged."""

    def __init__(
        self,
        kube: KubernetesApi,
        namespace: str,
        name: str,
        identity: Identity,
        duration_seconds: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._process = identity
        self._identity = str(identity)
        self._duration = duration_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._held: JsonObject | None = None
        self._record: Record | None = None
        """The last Lease that was read or written; it stays when the Lease is deleted."""
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
            await asyncio.sleep(self.retry_seconds / READS_PER_RETRY)

    async def hold(self) -> None:
        """Renew forever. Raise LeaseLostError when the Lease is lost."""
        try:
            while True:
                await asyncio.sleep(self.retry_seconds)
                await self._renew_in_time()
        except LeaseLostError:
            self._held = None
            raise

    async def _renew_in_time(self) -> None:
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
            if not await self._is_free(lease):
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
        """Write a new renewTime. Return False if the write failed; raise LeaseLostError if there is another holder.

        A deleted Lease is created again.
        """
        asked = self._monotonic()
        try:
            lease = await self._read()
            if lease is not None and _holder(lease) != self._identity:
                raise LeaseLostError("another replica holds the lease")
            self._held = await self._write(lease)
            self._renewed_at = asked
            self.reachable = True
        except ExternalError as error:
            self.reachable = False
            log.warning("the lease could not be renewed", extra={"reason": error.reason})
            return False
        return True

    async def release(self) -> None:
        """Give up the Lease so that the next candidate need not wait; do nothing if it is not held.

        Without an answer within RELEASE_SECONDS the Lease expires by itself.
        """
        if self._held is None:
            return
        spec = {**_spec(self._held), "holderIdentity": "", "leaseDurationSeconds": 1}
        held, self._held = self._held, None
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._kube.replace(LEASES, self._namespace, self._name, {**held, "spec": spec})
        except (ExternalError, TimeoutError) as error:
            log.warning("the lease could not be released", extra={"reason": getattr(error, "reason", "Timeout")})

    async def _read(self) -> JsonObject | None:
        try:
            return await self._kube.get(LEASES, self._namespace, self._name)
        except NotFoundError:
            return None

    async def _is_free(self, lease: JsonObject | None) -> bool:
        """Return whether the Lease may be taken.

        Its age is measured with this candidate's own clock, from its first read of this version. A deleted Lease is
        held for up to this candidate's own duration, so that its holder can create it again.
        """
        changed = lease is not None and self._observe(lease)
        record = self._record
        if record is None or record.holder in ("", self._identity):
            return True
        age = self._monotonic() - record.since
        duration = record.duration if lease is not None else min(record.duration, self._duration)
        holder = Identity.parse(record.holder)
        if age >= duration or (holder is not None and holder.precedes(self._process)):
            return True
        if changed or holder is None:
            return False
        return await self._is_dead(holder)

    def _observe(self, lease: JsonObject) -> bool:
        """Remember the Lease. Return whether it has changed since the last read."""
        version = lease["metadata"].get("resourceVersion", "")
        if self._record is not None and self._record.version == version:
            return False
        duration = float(_spec(lease).get("leaseDurationSeconds") or self._duration)
        self._record = Record(version, _holder(lease), duration, self._monotonic())
        return True

    async def _is_dead(self, holder: Identity) -> bool:
        """Return whether the holder's pod shows that the holder has ended.

        Without an answer only the Lease decides. So it does for a pod that is gone: a pod that was deleted by force, or
        with its node, may still run.
        """
        try:
            pod = await self._kube.get(PODS, self._namespace, holder.pod)
        except ExternalError as error:
            log.debug("the leader's pod cannot be read", extra={"pod": holder.pod, "reason": error.reason})
            return False
        dead = has_terminated(holder, pod)
        if dead:
            log.info("the leader has ended", extra={"pod": holder.pod})
        return dead

    async def _write(self, lease: JsonObject | None) -> JsonObject:
        """Store this candidate as the holder: replace `lease`, or create it if it is None."""
        old = _spec(lease or self._held or {})
        now = to_rfc3339(self._clock()).replace("Z", "000Z")
        same = old.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration),
            "acquireTime": old.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": (old.get("leaseTransitions") or 0) + (0 if same else 1),
        }
        if lease is None:
            named = {"metadata": {"name": self._name}, "spec": spec}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **named}
            stored = await self._kube.create(LEASES, self._namespace, body)
        else:
            stored = await self._kube.replace(LEASES, self._namespace, self._name, {**lease, "spec": spec})
        self._observe(stored)
        return stored


def _spec(lease: JsonObject) -> dict[str, Any]:
    return lease.get("spec") or {}


def _holder(lease: JsonObject) -> str:
    return _spec(lease).get("holderIdentity") or ""


def has_terminated(process: Identity, pod: JsonObject) -> bool:
    """Return whether the process's container has terminated, even if it runs again.

    A container that finished after the start of the process cannot be an earlier one. Both times are of the clock of
    the pod's node; the finish is rounded down to whole seconds, so that a short life may go unnoticed.
    """
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    own = (status for status in statuses if status["name"] == CONTAINER)
    return pod["metadata"]["uid"] == process.uid and any(_shows_end(process, status) for status in own)


def _shows_end(process: Identity, status: JsonObject) -> bool:
    """Return whether a container's status shows the end of the process.

    A running container that is not younger than the process may be its own. Then the last container is an earlier one,
    even if it finished later by a clock that was set back since.
    """
    state, last = status.get("state") or {}, status.get("lastState") or {}
    if "running" in state and (_seconds(state["running"], "startedAt") or 0.0) <= process.started_at:
        return False
    finished = [_seconds(part.get("terminated"), "finishedAt") for part in (state, last)]
    return any(seconds is not None and seconds >= process.started_at for seconds in finished)


def _seconds(state: JsonObject | None, name: str) -> float | None:
    """Return a time of a container's state in Unix seconds; None if there is none."""
    return from_rfc3339((state or {}).get(name))
