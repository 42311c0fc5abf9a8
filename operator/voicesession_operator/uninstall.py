"""`python -m voicesession_operator.uninstall`: ends every VoiceSession before the operator itself is removed.

Runs as the chart's pre-delete hook while the operator still works, so that rooms are closed and pods are told.
It may only list and delete VoiceSessions. What it leaves behind does not hang: there are no finalizers.
"""

import asyncio
import logging
import sys
import time
from typing import Final, Protocol

from voicesession_common import JsonObject
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import SESSIONS, KubeClient, Resource, load_configuration

from voicesession_operator import metrics
from voicesession_operator.settings import SettingsError, UninstallSettings

log = logging.getLogger(__name__)

DEADLINE_SECONDS: Final = 45.0
"""Helm's own default for a hook is 5 minutes; sessions without finalizers are gone in a second."""
POLL_SECONDS: Final = 0.5


class Sessions(Protocol):
    """The part of the Kubernetes API that the hook may use."""

    async def list(
        self, resource: Resource, namespace: str = "", selector: str = ""
    ) -> tuple[list[JsonObject], str]: ...
    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, grace_seconds: int | None = None
    ) -> JsonObject: ...


async def end_all(kube: Sessions, namespaces: tuple[str, ...], deadline_seconds: float = DEADLINE_SECONDS) -> bool:
    """Delete every VoiceSession of these namespaces (none given: of all) and wait; False if some are left."""
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline:
        try:
            if not await _delete_listed(kube, namespaces):
                return True
        except ExternalError as error:
            log.warning("will be tried again", extra={"reason": error.reason})
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _delete_listed(kube: Sessions, namespaces: tuple[str, ...]) -> int:
    """Ask for every session to go; returns how many there were."""
    count = 0
    for namespace in namespaces or ("",):
        sessions, _ = await kube.list(SESSIONS, namespace)
        count += len(sessions)
        for session in sessions:
            await _delete(kube, session)
    return count


async def _delete(kube: Sessions, session: JsonObject) -> None:
    meta = session["metadata"]
    if "deletionTimestamp" in meta:
        return
    try:
        await kube.delete(SESSIONS, meta["namespace"], meta["name"], meta["uid"])
    except (NotFoundError, ConflictError):
        return


async def run(settings: UninstallSettings) -> int:
    """The exit code: 1 if sessions are left."""
    kube = KubeClient(await load_configuration(settings.kubeconfig), metrics.observe_kubernetes_request)
    try:
        done = await end_all(kube, settings.watch_namespaces)
    finally:
        await kube.close()
    log.info("all sessions are gone" if done else "some sessions are left")
    return 0 if done else 1


def main() -> int:
    """Entry point; returns the exit code."""
    try:
        settings = UninstallSettings.from_env()
    except SettingsError as error:
        sys.stderr.write(f"voicesession-operator: {error}\n")
        return 2
    configure(settings.log_level)
    return asyncio.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
