"""The watch: kopf tells what happened to an object, and it goes into the intake. Nothing else happens here.

Only raw event handlers are used: kopf then writes nothing into objects and sets no finalizers.
"""

import asyncio
import logging
from typing import Any, Final, cast

import kopf
from voicesession_common.api import constants
from voicesession_common.api.constants import POD_SELECTOR
from voicesession_common.kube_client import load_credentials

from voicesession_operator.controller.cache import Cache, Key, Kind, Object, key_of, session_key_of
from voicesession_operator.controller.workqueue import WorkQueue


class Intake:
    """Both methods say whether it was news."""

    def __init__(self, cache: Cache, sessions: WorkQueue[Key], agents: WorkQueue[Key]) -> None:
        self._cache = cache
        self._sessions = sessions
        self._agents = agents

    def seen(self, kind: Kind, raw: Object) -> bool:
        """The object exists, like this."""
        news = self._cache.upsert(kind, raw)
        if news:
            self._enqueue(kind, raw)
        return news

    def gone(self, kind: Kind, raw: Object) -> bool:
        """The object has been deleted."""
        news = self._cache.remove(kind, raw)
        if news:
            self._enqueue(kind, raw)
        return news

    def _enqueue(self, kind: Kind, raw: Object) -> None:
        if kind is Kind.SESSION:
            self._sessions.add(key_of(raw))
        elif kind is Kind.POD:
            owner = session_key_of(raw)
            if owner is not None:
                self._sessions.add(owner)
        else:
            self._agents.add(key_of(raw))
            for session in self._cache.sessions_of(key_of(raw)):
                self._sessions.add(session)


log = logging.getLogger(__name__)

ERROR_BACKOFFS: Final = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""Seconds between tries while the API server errs: 2.4 minutes until kopf gives up and the process is restarted."""

IDENTITY: Final = cast(Any, "voicesession-operator")
"""Only peering would use it, but kopf looks the user up to make one, and a container's user has no name."""


async def watch(
    intake: Intake, kubeconfig: str, namespaces: tuple[str, ...], stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Run kopf until `stop` is set; `ready` is set once it runs. Raises what kopf died of."""
    await kopf.operator(
        registry=build_registry(intake, kubeconfig),
        settings=build_settings(),
        standalone=True,
        identity=IDENTITY,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
        ready_flag=ready,
    )


def build_registry(intake: Intake, kubeconfig: str) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own rather than kopf's global one."""
    registry = kopf.OperatorRegistry()

    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        found = await load_credentials(kubeconfig)
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=not found.verify,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
            scheme=found.scheme,
            token=found.token,
        )

    kopf.on.login(registry=registry)(log_in)
    for plural, kind in ((constants.SESSIONS, Kind.SESSION), (constants.AGENTS, Kind.AGENT)):
        _observe(registry, intake, kind, constants.GROUP, constants.VERSION, plural)
    _observe(registry, intake, Kind.POD, "", "v1", "pods")
    return registry


def build_settings() -> kopf.OperatorSettings:
    """kopf as a mere watch: no peering, no events of its own, no scanning of the cluster."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.label_selectors["pods"] = POD_SELECTOR
    settings.watching.server_timeout = 240
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = ERROR_BACKOFFS
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 1.0
    settings.process.ultimate_exiting_timeout = 45
    return settings


def _observe(
    registry: kopf.OperatorRegistry, intake: Intake, kind: Kind, group: str, version: str, plural: str
) -> None:
    async def take(event: kopf.RawEvent, **_: Any) -> None:
        raw = cast(Object, event["object"])
        if event["type"] == "DELETED":
            intake.gone(kind, raw)
        else:
            intake.seen(kind, raw)

    kopf.on.event(group=group, version=version, plural=plural, registry=registry, id=f"take-{plural}")(take)
