"""`python -m voicesession_operator.uninstall`: delete every VoiceSession before the operator is removed.

Runs as the chart's pre-delete hook while the operator is still running, so that the operator closes the rooms and
deletes the pods. The hook may only list and delete VoiceSessions. Sessions have no finalizers, so a session that is
left behind blocks nothing.
"""

import asyncio
import logging
import sys
import time
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import SESSIONS, KubeClient, KubernetesApi, load_configuration

from voicesession_operator import metrics
from voicesession_operator.settings import SettingsError, UninstallSettings

log = logging.getLogger(__name__)

DEADLINE_SECONDS: Final = 45.0
"""Helm's default for a hook is 5 minutes; sessions without finalizers are gone within a second."""
POLL_SECONDS: Final = 0.5


async def delete_all(
    kube: KubernetesApi, namespaces: tuple[str, ...], deadline_seconds: float = DEADLINE_SECONDS
) -> bool:
    """Delete every VoiceSession in these namespaces (empty: all) and wait. Return False if any remain."""
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline:
        try:
            if not await _delete_listed(kube, namespaces):
                return True
        except ExternalError as error:
            log.warning("deleting sessions failed, retrying", extra={"reason": error.reason})
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _delete_listed(kube: KubernetesApi, namespaces: tuple[str, ...]) -> int:
    """Delete every listed session. Return the number of listed sessions."""
    count = 0
    for namespace in namespaces or ("",):
        sessions, _ = await kube.list(SESSIONS, namespace)
        count += len(sessions)
        for session in sessions:
            await _delete(kube, session)
    return count


async def _delete(kube: KubernetesApi, session: JsonObject) -> None:
    meta = session["metadata"]
    if "deletionTimestamp" in meta:
        return
    try:
        await kube.delete(SESSIONS, meta["namespace"], meta["name"], meta["uid"])
    except (NotFoundError, ConflictError):
        return


async def run(settings: UninstallSettings) -> int:
    """Delete all sessions. Return the exit code: 1 if any remain."""
    kube = KubeClient(await load_configuration(settings.kubeconfig), metrics.observe_kubernetes_request)
    try:
        done = await delete_all(kube, settings.watch_namespaces)
    finally:
        await kube.close()
    log.info("all sessions are deleted" if done else "some sessions remain")
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
