"""The composition root: wires everything together, leads when elected, and shuts down in order."""

import asyncio
import base64
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.errors import ExternalError
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import KubeClient, load_configuration
from voicesession_common.tracing import Tracing

from voicesession_operator import leader_election as leader_label
from voicesession_operator import metrics
from voicesession_operator.clients.agent_pod import ControlPort, load_private_key, public_key_of
from voicesession_operator.clients.event_recorder import Recorder
from voicesession_operator.clients.letta import LettaDirectory
from voicesession_operator.clients.livekit import RoomService
from voicesession_operator.controller.agent_reconciler import AgentReconciler
from voicesession_operator.controller.cache import Cache, Key
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.informer import Intake, watch
from voicesession_operator.controller.pod_watcher import PodNews
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.session_metrics import Census
from voicesession_operator.controller.session_reconciler import Outside, SessionReconciler
from voicesession_operator.controller.session_traces import SessionTraces
from voicesession_operator.controller.user_memory import UserMemories
from voicesession_operator.controller.webhook_tracking import Hints, WebhookLosses
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.domain.config import Config
from voicesession_operator.leader_election import Elector, LeaseLost
from voicesession_operator.metric_labels import LostEvent
from voicesession_operator.settings import Settings, SettingsError
from voicesession_operator.web.server import Probes, WebServer
from voicesession_operator.web.webhook import JOIN, LEAVES, Notice, Webhook

log = logging.getLogger(__name__)

SESSION_WORKERS: Final = 16
"""A reconcile mostly waits for answers; this many keep 30 starting sessions from waiting for one another."""
AGENT_WORKERS: Final = 2
DRAIN_SECONDS: Final = 10.0
WATCH_STOP_SECONDS: Final = 10.0
LABEL_RETRY_SECONDS: Final = 1.0
BAD_SETTINGS: Final = 2
SERVICE: Final = "voicesession-operator"
"""The name under which its spans are found."""
TOLD: Final = {JOIN: LostEvent.JOINED, **dict.fromkeys(LEAVES, LostEvent.LEFT)}


class Operator:
    """One replica. Built inside a running loop from clients that its caller closes."""

    def __init__(
        self,
        settings: Settings,
        control_key: Ed25519PrivateKey,
        kube: KubeClient,
        rooms: RoomService,
        control: ControlPort,
        letta: LettaDirectory,
        tracing: Tracing,
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._stop = asyncio.Event()
        self._watch_stop, self._watch_ready = asyncio.Event(), asyncio.Event()
        self._leading = self._accepting = self._stopping = False
        self._watching: asyncio.Task[None] | None = None
        self._cache, self._hints, self._losses = Cache(), Hints(), WebhookLosses(time.time)
        recorder = Recorder(kube, settings.pod_name, time.time)
        traces = SessionTraces(tracing)
        executor = Executor(kube, rooms, control, self._cache, _addresses(settings), traces)
        self._news = PodNews(control, self._wake)
        memories = UserMemories(letta, self._cache, self._wake, time.time)
        sessions = SessionReconciler(
            Outside(kube, rooms, control, recorder, memories, self._news),
            executor,
            self._cache,
            self._hints,
            _policy(settings, control_key),
            time.time,
            self._losses,
            traces,
        )
        self._sessions: WorkQueue[Key] = WorkQueue("sessions", sessions.reconcile, SESSION_WORKERS)
        agents = AgentReconciler(kube, letta, recorder, self._cache, self._wake, time.time)
        self._agents: WorkQueue[Key] = WorkQueue("agents", agents.reconcile, AGENT_WORKERS)
        self._queues: tuple[WorkQueue[Any], ...] = (self._sessions, self._agents, memories.queue)
        self._census = Census(self._cache, self._queues)
        self._intake = Intake(self._cache, self._sessions, self._agents)
        self._resync = Resync(
            kube, rooms, self._cache, self._intake, settings.installation_id, settings.watch_namespaces, time.time
        )
        self._elector = Elector(
            kube,
            settings.pod_namespace,
            f"{settings.release}-voicesession-operator",
            settings.pod_name,
            settings.lease_duration_seconds,
        )
        self._web = WebServer(settings.http_port, self._probes(), self._webhook())

    def _probes(self) -> Probes:
        return Probes(
            ready=self._is_ready,
            queues_healthy=lambda: all(queue.healthy() for queue in self._queues),
            resync_age=lambda: self._resync.age() if self._leading else 0.0,
            before_metrics=self._count,
        )

    def _webhook(self) -> Webhook:
        key, secret = self._settings.livekit_api_key, self._settings.livekit_api_secret
        return Webhook(key, secret, lambda: self._accepting and not self._stopping, self._notify, time.time)

    async def run(self) -> int:
        """Until SIGTERM or SIGINT (0), or until leading fails (1)."""
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
        """Wait for the lease, then work until something fails; whatever fails ends it all."""
        await self._elector.acquire()
        self._leading = True
        metrics.LEADER.set(1)
        log.info("this replica leads")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._elector.hold())
            await self._resync.first()
            # At its end kopf cancels every task that is younger than itself, so it comes last.
            queues = [queue.run for queue in self._queues]
            for work in (*queues, self._news.run, self._resync.run, self._resync.run_sweep):
                group.create_task(work())
            self._watching = group.create_task(self._watch())
            await self._watch_ready.wait()
            self._catch_signals()
            self._accepting = True
            await self._take_label()

    async def _watch(self) -> None:
        namespaces = self._settings.watch_namespaces
        await watch(self._intake, self._settings.kubeconfig, namespaces, self._watch_stop, self._watch_ready)
        if not self._watch_stop.is_set():
            raise RuntimeError("the watch ended by itself")

    async def _take_label(self) -> None:
        """Have webhooks sent here. Until it works, they go nowhere and polling does their work."""
        settings = self._settings
        while True:
            try:
                return await leader_label.take(self._kube, settings.pod_namespace, settings.release, settings.pod_name)
            except ExternalError as error:
                log.warning("the leader label could not be set", extra={"reason": error.reason})
                await asyncio.sleep(LABEL_RETRY_SECONDS)

    async def _shut_down(self, lead: asyncio.Task[None]) -> None:
        """In order: nothing new comes in, what runs is finished, the watch ends, the lease goes to the next."""
        self._stopping = True
        log.info("shutting down")
        await self._web.stop()
        done = await asyncio.gather(*(queue.drain(DRAIN_SECONDS) for queue in self._queues))
        if not all(done):
            log.warning("some reconciles did not finish in time")
        self._watch_stop.set()
        if self._watching is not None:
            await asyncio.wait({self._watching}, timeout=WATCH_STOP_SECONDS)
        await _cancel(lead)
        await self._elector.release()

    def _catch_signals(self) -> None:
        """Also called once kopf runs: it puts its own handlers in place of ours."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    def _is_ready(self) -> bool:
        if self._stopping:
            return False
        return self._accepting if self._leading else self._elector.reachable

    def _wake(self, session: Key) -> None:
        self._sessions.add(session)

    def _notify(self, notice: Notice) -> bool:
        key = self._cache.session_of_room(notice.room)
        if key is None:
            return False
        if notice.event in TOLD:
            self._losses.told(key, TOLD[notice.event], notice.participant_sid)
        if notice.leave is not None:
            self._hints.record(key, notice.leave)
        self._sessions.add(key)
        return True

    def _count(self) -> None:
        self._census.take()
        self._losses.count()


def _addresses(settings: Settings) -> Addresses:
    return Addresses(settings.livekit_url, settings.letta_url, settings.letta_api_key)


def _policy(settings: Settings, control_key: Ed25519PrivateKey) -> Config:
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
    lost = isinstance(error, BaseExceptionGroup) and error.subgroup(LeaseLost) is not None
    log.error("leadership is lost" if lost else "leading failed", exc_info=None if lost else error)


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def serve(settings: Settings, control_key: Ed25519PrivateKey) -> int:
    """Build the clients, run the operator, close the clients; returns the exit code."""
    async with AsyncExitStack() as stack:
        kube = KubeClient(await load_configuration(settings.kubeconfig), metrics.observe_kubernetes_request)
        stack.push_async_callback(kube.close)
        rooms = RoomService(settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret)
        stack.push_async_callback(rooms.close)
        control = ControlPort(control_key, time.time)
        stack.push_async_callback(control.close)
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
        return await Operator(settings, control_key, kube, rooms, control, letta, tracing).run()


def main() -> int:
    """Run one replica; returns the exit code: 0 after a signal, 1 after a failure, 2 for senseless settings."""
    try:
        settings = Settings.from_env()
        control_key = load_private_key(settings.control_private_key)
    except SettingsError as error:
        sys.stderr.write(f"voicesession-operator: {error}\n")
        return BAD_SETTINGS
    except ValueError:
        sys.stderr.write("voicesession-operator: CONTROL_PRIVATE_KEY is not an Ed25519 key in PEM\n")
        return BAD_SETTINGS
    configure(settings.log_level)
    return asyncio.run(serve(settings, control_key))
