"""One term of leadership: the cache, the queues and the reconcilers, composed and run."""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicesession_operator.clients import ExternalSystems
from voicesession_operator.clients.agent_pod import public_key_of
from voicesession_operator.clients.event_recorder import EventRecorder
from voicesession_operator.controller.agent_reconciler import AgentReconciler
from voicesession_operator.controller.cache import Cache, Key, namespace_of
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.informer import Informer, watch
from voicesession_operator.controller.observation import LIST_SHARE, RoomDirectory
from voicesession_operator.controller.pod_claims import PodClaims
from voicesession_operator.controller.pod_watcher import PodWatcher
from voicesession_operator.controller.pool_reconciler import PoolReconciler
from voicesession_operator.controller.resync import Resync
from voicesession_operator.controller.session_metrics import SessionGauges
from voicesession_operator.controller.session_reconciler import Clients, SessionReconciler
from voicesession_operator.controller.session_traces import SessionTraces
from voicesession_operator.controller.user_memory import UserMemories
from voicesession_operator.controller.webhook_tracking import LeaveHints, LostWebhookCounter, WebhookHandler
from voicesession_operator.controller.workqueue import WorkQueue
from voicesession_operator.settings import OperatorSettings
from voicesession_operator.web.server import keep_leader_label

SESSION_WORKERS: Final = 24
NAMESPACE_WORKERS: Final = 16
"""Most workers of one namespace: 30 starting sessions do not delay each other, nor do silent pods other namespaces."""
AGENT_WORKERS: Final = 2
POOL_WORKERS: Final = 4


class Controller:
    """The work of one term of leadership: the cache, and the queues with their reconcilers.

    A later term has another controller, because the cache of this one is not kept up to date in between.
    """

    def __init__(self, settings: OperatorSettings, control_key: Ed25519PrivateKey, systems: ExternalSystems) -> None:
        self._settings = settings
        namespaces = settings.watch_namespaces
        public_key = base64.b64encode(public_key_of(control_key)).decode()
        self._systems, self._config = systems, settings.config(public_key)
        self._addresses = Addresses(settings.livekit_url, settings.letta_url, settings.letta_api_key)
        self.cache, self._hints, self.lost_webhooks = Cache(), LeaveHints(), LostWebhookCounter(time.time)
        self.rooms = RoomDirectory(systems.rooms, self._enqueue_room, time.time, LIST_SHARE * self._config.poll_seconds)
        self.pod_watcher = PodWatcher(systems.pods, self._enqueue)
        self._recorder = EventRecorder(systems.kube, settings.pod_name, time.time)
        self._memories = UserMemories(systems.letta, self.cache, self._recorder, self._enqueue, time.time)
        self._claims = PodClaims(systems.kube, self.cache, self._enqueue_pool, time.time)
        self._pools: WorkQueue[Key] = WorkQueue("pools", self._pool_reconciler().reconcile, POOL_WORKERS, namespace_of)
        self._sessions: WorkQueue[Key] = WorkQueue(
            "sessions", self._session_reconciler().reconcile, SESSION_WORKERS, namespace_of, NAMESPACE_WORKERS
        )
        self._agents: WorkQueue[Key] = WorkQueue("agents", self._agent_reconciler().reconcile, AGENT_WORKERS)
        self.queues: tuple[WorkQueue[Any], ...] = (self._sessions, self._agents, self._pools, self._memories.queue)
        self.informer = Informer(self.cache, self._sessions, self._agents, self._pools, systems.kube)
        self.resync = Resync(
            systems.kube, self.rooms, self.cache, self.informer, settings.installation_id, namespaces, time.time
        )
        self.webhooks = WebhookHandler(self.cache, self._hints, self.lost_webhooks, self._enqueue)
        self._gauges = SessionGauges(self.cache, self.queues)
        self._watch_stop, self._watch_ready = asyncio.Event(), asyncio.Event()
        self.accepting = False
        """Whether the sessions are listed and watched, so that webhooks find theirs."""

    def _session_reconciler(self) -> SessionReconciler:
        kube, rooms = self._systems.kube, self.rooms
        traces = SessionTraces(self._systems.tracing)
        return SessionReconciler(
            Clients(kube, rooms, self._recorder, self._memories, self.pod_watcher),
            Executor(kube, rooms, self.pod_watcher, self.cache, self._addresses, self._claims, traces),
            self.cache,
            self._hints,
            self._config,
            time.time,
            self.lost_webhooks,
            traces,
        )

    def _agent_reconciler(self) -> AgentReconciler:
        kube, letta, enqueue = self._systems.kube, self._systems.letta, self._sessions.add_poll
        return AgentReconciler(kube, letta, self._memories, self._recorder, self.cache, enqueue, time.time)

    def _pool_reconciler(self) -> PoolReconciler:
        kube, pods = self._systems.kube, self._systems.pods
        return PoolReconciler(kube, self._recorder, self.cache, self._claims, pods, self._config, time.time)

    async def run(self, catch_signals: Callable[[], None]) -> None:
        """List, watch and work until canceled; the first failure of a task ends all of them.

        `catch_signals` is called after the start of kopf, which replaces the signal handlers.
        """
        async with asyncio.TaskGroup() as group:
            await self.resync.fill_cache()
            parts = [*(queue.run for queue in self.queues), self._memories.run_retention]
            for work in (self.pod_watcher.run, *parts, self.resync.run, self.resync.run_orphans, self._watch):
                group.create_task(work())
            await self._watch_ready.wait()
            catch_signals()
            self.accepting = True
            settings = self._settings
            await keep_leader_label(self._systems.kube, settings.pod_namespace, settings.release, settings.pod_name)

    async def _watch(self) -> None:
        settings = self._settings
        await watch(self.informer, settings.kubeconfig, settings.watch_namespaces, self._watch_stop, self._watch_ready)
        if not self._watch_stop.is_set():
            raise RuntimeError("the watch ended unexpectedly")

    def stop(self) -> None:
        """Prepare for the cancellation of `run`; without this, kopf would kill the process 45 s after it."""
        self.accepting = False
        self._watch_stop.set()

    def update_metrics(self) -> None:
        """Update the metrics of the cache before a scrape."""
        self._gauges.update_gauges()
        self.lost_webhooks.count()

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

    def _enqueue_pool(self, pool: Key) -> None:
        self._pools.add(pool)

    def _enqueue_room(self, name: str) -> None:
        session = self.cache.session_of_room(name)
        if session is not None:
            self._enqueue(session)
