"""The composition root: builds all parts, runs them while this replica leads, and shuts them down in order."""

import asyncio
import base64
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import KubeClient, load_configuration
from voicesession_common.tracing import Tracing

from voicesession_operator import metrics
from voicesession_operator.clients.agent_pod import AgentPodClient, load_private_key, public_key_of
from voicesession_operator.clients.event_recorder import EventRecorder
from voicesession_operator.clients.letta import LettaDirectory
from voicesession_operator.clients.livekit import RoomService
from voicesession_operator.controller.agent_reconciler import AgentReconciler
from voicesession_operator.controller.cache import Cache, Key, namespace_of
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.informer import Informer, watch
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.controller.pod_watcher import PodWatcher
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.session_metrics import SessionGauges
from voicesession_operator.controller.session_reconciler import Clients, SessionReconciler
from voicesession_operator.controller.session_traces import SessionTraces
from voicesession_operator.controller.user_memory import UserMemories
from voicesession_operator.controller.webhook_tracking import LeaveHints, LostWebhookCounter, WebhookHandler
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.config import Config
from voicesession_operator.leader_election import LeaderElector, LeaseLostError, keep_leader_label
from voicesession_operator.settings import OperatorSettings, SettingsError
from voicesession_operator.web.server import Probes, WebServer
from voicesession_operator.web.webhook import WebhookEndpoint

log = logging.getLogger(__name__)

SESSION_WORKERS: Final = 24
NAMESPACE_WORKERS: Final = 16
"""Most workers of one namespace: 30 starting sessions do not delay each other, nor do silent pods other namespaces."""
AGENT_WORKERS: Final = 2
LIST_SHARE: Final = 0.8
"""Age of the list of rooms in poll intervals: a lone session renews it at each poll, in spite of the jitter."""
DRAIN_SECONDS: Final = 10.0
WATCH_STOP_SECONDS: Final = 10.0
EXIT_INVALID_SETTINGS: Final = 2
SERVICE: Final = "voicesession-operator"
"""Service name of the operator's spans."""


@dataclass(frozen=True)
class ExternalSystems:
    """Clients of one replica. Their creator closes them."""

    kube: KubeClient
    rooms: RoomService
    pods: AgentPodClient
    letta: LettaDirectory
    tracing: Tracing


class Controller:
    """The work of the leader: the cache, and the queues with their reconcilers."""

    def __init__(self, settings: OperatorSettings, control_key: Ed25519PrivateKey, systems: ExternalSystems) -> None:
        self._systems, self._config = systems, _operator_config(settings, control_key)
        self._addresses = Addresses(settings.livekit_url, settings.letta_url, settings.letta_api_key)
        self.cache, self._hints, self.lost_webhooks = Cache(), LeaveHints(), LostWebhookCounter(time.time)
        self.rooms = RoomDirectory(systems.rooms, self._enqueue_room, time.time, LIST_SHARE * self._config.poll_seconds)
        self.pod_watcher = PodWatcher(systems.pods, self._enqueue)
        self._recorder = EventRecorder(systems.kube, settings.pod_name, time.time)
        self._memories = UserMemories(systems.letta, self.cache, self._enqueue, time.time)
        self._sessions: WorkQueue[Key] = WorkQueue(
            "sessions", self._session_reconciler().reconcile, SESSION_WORKERS, namespace_of, NAMESPACE_WORKERS
        )
        self._agents: WorkQueue[Key] = WorkQueue("agents", self._agent_reconciler().reconcile, AGENT_WORKERS)
        self.queues: tuple[WorkQueue[Any], ...] = (self._sessions, self._agents, self._memories.queue)
        self.informer = Informer(self.cache, self._sessions, self._agents, systems.kube)
        self.resync = self._resync(settings)
        self.webhooks = WebhookHandler(self.cache, self._hints, self.lost_webhooks, self._enqueue)

    def _session_reconciler(self) -> SessionReconciler:
        kube, rooms = self._systems.kube, self.rooms
        traces = SessionTraces(self._systems.tracing)
        return SessionReconciler(
            Clients(kube, rooms, self._recorder, self._memories, self.pod_watcher),
            Executor(kube, rooms, self.pod_watcher, self.cache, self._addresses, traces),
            self.cache,
            self._hints,
            self._config,
            time.time,
            self.lost_webhooks,
            traces,
        )

    def _agent_reconciler(self) -> AgentReconciler:
        systems, enqueue = self._systems, self._sessions.add_poll
        return AgentReconciler(systems.kube, systems.letta, self._recorder, self.cache, enqueue, time.time)

    def _resync(self, settings: OperatorSettings) -> Resync:
        kube, rooms, namespaces = self._systems.kube, self.rooms, settings.watch_namespaces
        return Resync(kube, rooms, self.cache, self.informer, settings.installation_id, namespaces, time.time)

    async def drain(self, seconds: float) -> list[bool]:
        """Finish running reconciles and the cleanups of deleted sessions; return for each queue whether it finished."""
        drains = [self._sessions.drain(seconds, keep=self._is_deleted)]
        drains += [queue.drain(seconds) for queue in self.queues if queue is not self._sessions]
        return await asyncio.gather(*drains)

    def _is_deleted(self, session: Key) -> bool:
        """Return whether the room of a deleted session may be left: after an uninstall nobody would delete it."""
        return bool(self.cache.deleted_sessions(session))

    def _enqueue(self, session: Key) -> None:
        self._sessions.add(session)

    def _enqueue_room(self, name: str) -> None:
        session = self.cache.session_of_room(name)
        if session is not None:
            self._enqueue(session)


class Operator:
    """One replica. Must be created inside a running loop."""

    def __init__(self, settings: OperatorSettings, control_key: Ed25519PrivateKey, systems: ExternalSystems) -> None:
        self._settings, self._kube = settings, systems.kube
        self._stop = asyncio.Event()
        self._watch_stop, self._watch_ready = asyncio.Event(), asyncio.Event()
        self._leading = self._accepting = self._stopping = False
        self._watching: asyncio.Task[None] | None = None
        self._controller = Controller(settings, control_key, systems)
        self._gauges = SessionGauges(self._controller.cache, self._controller.queues)
        self._resync = self._controller.resync
        self._elector = _elector(settings, systems.kube)
        self._web = WebServer(settings.http_port, self._probes(), self._webhook_endpoint())

    def _probes(self) -> Probes:
        return Probes(
            ready=self._is_ready,
            queues_healthy=lambda: all(queue.healthy() for queue in self._controller.queues),
            resync_age=lambda: self._resync.age() if self._leading else 0.0,
            before_metrics=self._update_metrics,
        )

    def _webhook_endpoint(self) -> WebhookEndpoint:
        key, secret = self._settings.livekit_api_key, self._settings.livekit_api_secret
        handle = self._controller.webhooks.handle
        return WebhookEndpoint(key, secret, lambda: self._accepting and not self._stopping, handle, time.time)

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT. Return the exit code: 0 after a signal, 1 if leading failed."""
        self._catch_signals()
        port = await self._web.start()
        log.info("listening", extra={"port": port})
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        lead = asyncio.create_task(self._lead(), name="lead")
        lag = asyncio.create_task(self._web.watch_lag(), name="lag")
        try:
            await asyncio.wait({stop, lead, lag}, return_when=asyncio.FIRST_COMPLETED)
            if not lead.done():
                await self._shut_down(lead)
                return 0
            _report(lead.exception())
            return 1
        finally:
            await _cancel(stop, lead, lag)

    async def _lead(self) -> None:
        """Wait for the lease, then run all tasks of the leader; the first failure ends them all."""
        await self._elector.acquire()
        self._leading = True
        metrics.LEADER.set(1)
        log.info("this replica leads")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._elector.hold())
            await self._resync.fill_cache()
            # When kopf ends, it cancels every task created after its start, so it is started last.
            queues = [queue.run for queue in self._controller.queues]
            for work in (self._controller.pod_watcher.run, *queues, self._resync.run, self._resync.run_orphans):
                group.create_task(work())
            self._watching = group.create_task(self._watch())
            await self._watch_ready.wait()
            self._catch_signals()
            self._accepting = True
            settings = self._settings
            await keep_leader_label(self._kube, settings.pod_namespace, settings.release, settings.pod_name)

    async def _watch(self) -> None:
        informer, settings = self._controller.informer, self._settings
        await watch(informer, settings.kubeconfig, settings.watch_namespaces, self._watch_stop, self._watch_ready)
        if not self._watch_stop.is_set():
            raise RuntimeError("the watch ended unexpectedly")

    async def _shut_down(self, lead: asyncio.Task[None]) -> None:
        """Stop in order: refuse requests, finish running reconciles and cleanups, end the watch, release the lease."""
        self._stopping = True
        log.info("shutting down")
        await self._web.stop()
        done = await self._controller.drain(DRAIN_SECONDS)
        if not all(done):
            log.warning("some reconciles did not finish in time")
        self._watch_stop.set()
        if self._watching is not None:
            await asyncio.wait({self._watching}, timeout=WATCH_STOP_SECONDS)
        await _cancel(lead)
        await self._elector.release()

    def _catch_signals(self) -> None:
        """Install signal handlers. Called again after the start of kopf, which replaces them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _is_ready(self) -> bool:
        if self._stopping:
            return False
        return self._accepting if self._leading else self._elector.reachable

    def _update_metrics(self) -> None:
        self._gauges.update_gauges()
        self._controller.lost_webhooks.count()


def _elector(settings: OperatorSettings, kube: KubeClient) -> LeaderElector:
    lease = f"{settings.release}-voicesession-operator"
    return LeaderElector(kube, settings.pod_namespace, lease, settings.pod_name, settings.lease_duration_seconds)


def _operator_config(settings: OperatorSettings, control_key: Ed25519PrivateKey) -> Config:
    return Config(
        agent_image=settings.agent_image,
        pull_policy=settings.agent_image_pull_policy,
        control_public_key=base64.b64encode(public_key_of(control_key)).decode(),
        livekit_url=settings.livekit_url,
        public_url=settings.livekit_public_url,
        installation_id=settings.installation_id,
        otlp_endpoint=settings.otlp_endpoint,
        poll_seconds=settings.poll_seconds,
    )


def _report(error: BaseException | None) -> None:
    lost = isinstance(error, BaseExceptionGroup) and error.subgroup(LeaseLostError) is not None
    log.error("leadership was lost" if lost else "leading failed", exc_info=None if lost else error)


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def connect(settings: OperatorSettings, control_key: Ed25519PrivateKey, stack: AsyncExitStack) -> ExternalSystems:
    """Create all clients; `stack` closes them, the last one first."""
    kube = KubeClient(await load_configuration(settings.kubeconfig), metrics.observe_kubernetes_request)
    stack.push_async_callback(kube.close)
    rooms = RoomService(settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret)
    stack.push_async_callback(rooms.close)
    pods = AgentPodClient(control_key, time.time)
    stack.push_async_callback(pods.close)
    letta = LettaDirectory(
        settings.letta_url,
        settings.letta_api_key,
        settings.letta_model,
        settings.letta_embedding,
        settings.installation_id,
    )
    stack.push_async_callback(letta.close)
    tracing = Tracing.connect(SERVICE, settings.pod_name, settings.otlp_endpoint, settings.trace_ratio)
    stack.push_async_callback(tracing.close)
    return ExternalSystems(kube, rooms, pods, letta, tracing)


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
