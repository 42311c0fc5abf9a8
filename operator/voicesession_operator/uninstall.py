"""`python -m voicesession_operator.uninstall`: delete VoiceSessions and VoicePools before the operator is removed.

Runs as the chart's pre-delete hook while the operator is still running, so that the operator closes the rooms and
deletes the pods. Pools go too, because nothing would make their pods of use any more. The hook may only list and delete
both kinds, and list pods. They have no finalizers, so an object that is left behind blocks nothing.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import POD_SELECTOR
from voicesession_common.errors import (
    NO_SUCH_KIND,
    ConflictError,
    ExternalError,
    NotFoundError,
    RetryableError,
    TerminalError,
)
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import (
    ALL_NAMESPACES,
    PODS,
    POOLS,
    SESSIONS,
    KubeClient,
    KubernetesApi,
    Resource,
    load_configuration,
)

from voicesession_operator import metrics
from voicesession_operator.settings import SettingsError, UninstallSettings

log = logging.getLogger(__name__)

DEADLINE_SECONDS: Final = 40.0
"""Helm's default for a hook is 5 minutes; sessions are gone within a second, and their pods within 10 seconds."""
SETTLE_SECONDS: Final = 5.0
"""Time for the operator's queue of deleted sessions, about 200 a second; it also finishes that queue at its end."""
CONCURRENT_DELETIONS: Final = 16
POLL_SECONDS: Final = 0.5


async def delete_all(
    kube: KubernetesApi,
    namespaces: tuple[str, ...],
    deadline_seconds: float = DEADLINE_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> bool:
    """Delete every VoicePool and VoiceSession in these namespaces (empty: all) and wait until their pods are gone.

    If there were any, leave the operator `settle_seconds` to delete the last rooms, which no object in Kubernetes
    shows. Return False if sessions or pods remain at the deadline.
    """
    deadline = time.monotonic() + deadline_seconds
    readable, seen = set(namespaces or (ALL_NAMESPACES,)), False
    while time.monotonic() < deadline:
        if not await _count_remaining(kube, readable):
            await sleep(settle_seconds if seen else 0)
            return True
        seen = True
        await sleep(POLL_SECONDS)
    return False


async def _count_remaining(kube: KubernetesApi, readable: set[str]) -> int:
    """Delete pools and sessions of each namespace. Return the number of these, or else of pods, that are left.

    A namespace whose list fails counts as one. If the namespace is gone or forbidden, it is left out from now on, so
    that it keeps no session of another namespace alive.
    """
    remaining = 0
    for namespace in sorted(readable):
        try:
            deleted = sum([await _delete_all(kube, kind, namespace) for kind in (POOLS, SESSIONS)])
            remaining += deleted or await _count_pods(kube, namespace)
        except (TerminalError, NotFoundError) as error:
            log.warning("a namespace cannot be read", extra={"namespace": namespace, "reason": error.reason})
            if namespace == ALL_NAMESPACES:
                remaining += 1
            else:
                readable.discard(namespace)
        except ExternalError as error:
            log.warning("deleting sessions failed, retrying", extra={"reason": error.reason})
            remaining += 1
    return remaining


async def _delete_all(kube: KubernetesApi, kind: Resource, namespace: str) -> int:
    """Delete every listed object, several at a time. Return the number of listed objects, 0 without the CRD.

    The deletion of a CRD deletes its objects too.

    The list of pods that follows shows that the 404 was the API server's: a proxy's would refuse that list too.
    """
    limit = asyncio.Semaphore(CONCURRENT_DELETIONS)
    try:
        listed, _ = await kube.list(kind, namespace)
    except RetryableError as error:
        if error.reason != NO_SUCH_KIND:
            raise
        return 0
    await asyncio.gather(*(_delete(kube, kind, raw, limit) for raw in listed))
    return len(listed)


async def _count_pods(kube: KubernetesApi, namespace: str) -> int:
    pods, _ = await kube.list(PODS, namespace, POD_SELECTOR)
    return len(pods)


async def _delete(kube: KubernetesApi, kind: Resource, raw: JsonObject, limit: asyncio.Semaphore) -> None:
    meta = raw["metadata"]
    if "deletionTimestamp" in meta:
        return
    async with limit:
        with suppress(NotFoundError, ConflictError):
            await kube.delete(kind, meta["namespace"], meta["name"], meta["uid"])


async def run(settings: UninstallSettings) -> int:
    """Delete all sessions. Return the exit code: 1 if sessions or pods remain."""
    kube = KubeClient(await load_configuration(settings.kubeconfig), metrics.observe_kubernetes_request)
    try:
        done = await delete_all(kube, settings.watch_namespaces)
    finally:
        await kube.close()
    log.info("all sessions are deleted" if done else "some sessions or pods remain")
    return 0 if done else 1


def main() -> int:
    """Run the hook. Return the exit code."""
    try:
        settings = UninstallSettings.from_env()
    except SettingsError as error:
        sys.stderr.write(f"voicesession-operator: {error}\n")
        return 2
    configure(settings.log_level)
    return asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
