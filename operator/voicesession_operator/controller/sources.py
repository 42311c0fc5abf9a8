"""The watch: kopf tells what happened to an object, and it goes into the intake. Nothing else happens here.

Only raw event handlers are used: kopf then writes nothing into objects and sets no finalizers.
"""

import asyncio
import logging
from typing import Any, Final, cast

import kopf

from voicesession_operator.adapters.kube import load_credentials
from voicesession_operator.api import names
from voicesession_operator.controller.cache import Kind, Object
from voicesession_operator.controller.intake import Intake
from voicesession_operator.controller.resync import POD_SELECTOR

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
    for plural, kind in ((names.SESSIONS, Kind.SESSION), (names.AGENTS, Kind.AGENT)):
        _observe(registry, intake, kind, names.GROUP, names.VERSION, plural)
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
