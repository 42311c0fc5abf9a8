"""The composition root: builds all parts, runs them in each term of leadership, and shuts them down in order."""

import asyncio
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.json_logging import configure

from voicesession_operator import metrics
from voicesession_operator.clients import ExternalSystems, connect
from voicesession_operator.clients.agent_pod import load_private_key
from voicesession_operator.clients.livekit import RoomEvent
from voicesession_operator.leader_election import RELEASE_SECONDS, Identity, LeaderElector, LeaseLostError
from voicesession_operator.settings import OperatorSettings, SettingsError
from voicesession_operator.term import Controller
from voicesession_operator.web.server import WEB_STOP_SECONDS, Probes, WebServer, remove_own_label
from voicesession_operator.web.webhook import WebhookEndpoint

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 10.0
TERM_END_SECONDS: Final = 7.0
"""Time for the canceled tasks of a term; kopf stops its own ones in steps."""
LAST_TASKS_SECONDS: Final = 1.0
SHUTDOWN_SECONDS: Final = WEB_STOP_SECONDS + DRAIN_SECONDS + TERM_END_SECONDS + RELEASE_SECONDS + LAST_TASKS_SECONDS
"""Longest shutdown, without an answer from outside. Kubernetes kills the process after 30 s."""
EXIT_INVALID_SETTINGS: Final = 2


class Operator:
    """One replica. Must be created inside a running loop."""

    def __init__(self, settings: OperatorSettings, control_key: Ed25519PrivateKey, systems: ExternalSystems) -> None:
        self._settings, self._systems = settings, systems
        self._stop = asyncio.Event()
        self._leading = self._stopping = False
        self._new_controller = partial(Controller, settings, control_key, systems)
        self._controller = self._new_controller()
        lease, identity = (
            f"{settings.release}-voicesession-operator",
            Identity(settings.pod_name, settings.pod_uid, time.time()),
        )
        self._elector = LeaderElector(
            systems.kube, settings.pod_namespace, lease, identity, settings.lease_duration_seconds
        )
        self._web = WebServer(settings.http_port, self._probes(), self._webhook_endpoint())

    def _probes(self) -> Probes:
        return Probes(
            ready=self._is_ready,
            queues_healthy=lambda: all(queue.healthy() for queue in self._controller.queues),
            resync_age=self._resync_age,
            before_metrics=self._update_metrics,
        )

    def _webhook_endpoint(self) -> WebhookEndpoint:
        key, secret = self._settings.livekit_api_key, self._settings.livekit_api_secret
        return WebhookEndpoint(key, secret, self._is_accepting, self._handle_webhook, time.time)

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT. Return the exit code: 0 after a signal, 1 if leading failed."""
        self._catch_signals()
        port = await self._web.start()
        log.info("listening", extra={"port": port})
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        lead = asyncio.create_task(self._lead_repeatedly(), name="lead")
        lag = asyncio.create_task(self._web.watch_lag(), name="lag")
        try:
            await asyncio.wait({stop, lead, lag}, return_when=asyncio.FIRST_COMPLETED)
            if not lead.done():
                await self._shut_down(lead)
                return 0
            log.error("leading failed", exc_info=lead.exception())
            return 1
        finally:
            await _cancel(LAST_TASKS_SECONDS, stop, lead, lag)

    async def _lead_repeatedly(self) -> None:
        """Wait for the Lease and lead until it is lost, again and again. Raise the error that ended a term."""
        while not self._stopping:
            await self._elector.acquire()
            log.info("this replica leads")
            try:
                await self._lead()
            except LeaseLostError as lost:
                log.warning("leadership was lost", extra={"reason": str(lost)})
                await remove_own_label(self._systems.kube, self._settings.pod_namespace, self._settings.pod_name)

    async def _lead(self) -> None:
        """Lead for one term. Raise LeaseLostError, or the error that ended the term, when all its tasks have ended."""
        hold = asyncio.create_task(self._elector.hold(), name="hold")
        term = asyncio.create_task(self._controller.run(self._catch_signals), name="term")
        self._set_leading(True)
        try:
            done, _ = await asyncio.wait({hold, term}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._set_leading(False)
            self._controller.stop()
            if not await _cancel(TERM_END_SECONDS, hold, term):
                raise RuntimeError("the tasks of a term do not end")
            self._controller = self._new_controller()
            self._catch_signals()
        for task in (task for task in (hold, term) if task in done):
            task.result()

    async def _shut_down(self, lead: asyncio.Task[None]) -> None:
        """Stop in order: refuse requests, finish running reconciles and cleanups, end the term, release the lease.

        Without the end of the term the lease is kept, so that the next leader waits for the end of this process.
        """
        self._stopping = True
        log.info("shutting down")
        await self._web.stop()
        if not all(await self._controller.drain(DRAIN_SECONDS)):
            log.warning("some reconciles did not finish in time")
        if await _cancel(TERM_END_SECONDS, lead) and lead.cancelled():
            await self._elector.release()

    def _catch_signals(self) -> None:
        """Install signal handlers. Called again after the start of kopf, which replaces them, and after its end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _set_leading(self, leading: bool) -> None:
        self._leading = leading
        metrics.LEADER.set(int(leading))

    def _is_accepting(self) -> bool:
        return self._leading and self._controller.accepting and not self._stopping

    def _handle_webhook(self, event: RoomEvent) -> bool:
        return self._controller.webhooks.handle(event)

    def _resync_age(self) -> float:
        return self._controller.resync.age()

    def _update_metrics(self) -> None:
        self._controller.update_metrics()

    def _is_ready(self) -> bool:
        if self._stopping or self._leading:
            return self._is_accepting()
        return self._elector.reachable


async def _cancel(seconds: float, *tasks: "asyncio.Task[object]") -> bool:
    """Cancel the tasks. Return False if they have not ended in time."""
    for task in tasks:
        task.cancel()
    _, pending = await asyncio.wait(tasks, timeout=seconds)
    return not pending


async def serve(settings: OperatorSettings, control_key: Ed25519PrivateKey) -> int:
    """Create the clients, run the operator and close the clients. Return the exit code."""
    async with AsyncExitStack() as stack:
        systems = await connect(settings, control_key, stack)
        return await Operator(settings, control_key, systems).run()


def main() -> int:
    """Run one replica. Return the exit code: 0 after a signal, 1 after a failure, 2 for invalid settings."""
    try:
        settings = OperatorSettings.from_env()
        control_key = load_private_key(settings.control_private_key)
    except SettingsError as error:
        sys.stderr.write(f"voicesession-operator: {error}\n")
        return EXIT_INVALID_SETTINGS
    except ValueError:
        sys.stderr.write("voicesession-operator: CONTROL_PRIVATE_KEY is not an Ed25519 key in PEM\n")
        return EXIT_INVALID_SETTINGS
    configure(settings.log_level)
    return asyncio.run(serve(settings, control_key))
