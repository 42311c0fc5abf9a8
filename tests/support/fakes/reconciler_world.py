"""Fakes of Kubernetes, LiveKit and agent pods for tests of the controller; they record requests and can fail."""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import ListPage, Resource
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.controller.pod_claims import PodClaims
from voicesession_operator.controller.session_reconciler import Clients, SessionReconciler
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.webhook_tracking import LeaveHints, LostWebhookCounter
from voicesession_operator.domain.actions import Event
from voicesession_operator.domain.agent_plan import Memory
from voicesession_operator.domain.observed import AgentPod, AgentPodState, PodNews

from tests.support import operator_objects
from tests.support.builders import AGENT, CONFIG, T0
from tests.support.fakes.livekit_rooms import ALWAYS_NEW, FakeRooms

HELLO = Key("default", "hello")


class FakeKubernetes:
    """Objects by resource and name; every write assigns the next resourceVersion. `clock` returns Unix seconds."""

    def __init__(self, clock: Callable[[], float] = lambda: T0) -> None:
        self._clock, self._suffixes = clock, itertools.count()
        self.objects: dict[tuple[str, str], JsonObject] = {}
        self.version = 100
        self.writes: list[str] = []
        self.lists: list[str] = []
        """The resource of every list."""
        self.errors: dict[str, ExternalError] = {}
        """`verb resource` -> the error of the next such request."""
        self.before_write: Callable[[], None] = lambda: None

    def put(self, resource: str, body: JsonObject) -> JsonObject:
        self.version += 1
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self.version)
        stored["metadata"].setdefault("uid", f"{stored['metadata']['name']}-uid")
        self.objects[resource, stored["metadata"]["name"]] = stored
        return copy.deepcopy(stored)

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[JsonObject], str]:
        self._fail(f"list {resource.plural}")
        self.lists.append(resource.plural)
        found = [copy.deepcopy(body) for (kind, _), body in self.objects.items() if kind == resource.plural]
        return found, str(self.version)

    async def pages(self, resource: Resource, namespace: str = "", selector: str = "") -> AsyncIterator[ListPage]:
        """Yield one object per page."""
        found, version = await self.list(resource, namespace, selector)
        for raw in found:
            yield ListPage([raw], version)
        yield ListPage([], version)

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        self._fail(f"get {resource.plural}")
        return copy.deepcopy(self._find(resource, name))

    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject:
        self._write(f"create {resource.plural}")
        name = body["metadata"].get("name") or f"{body['metadata']['generateName']}{next(self._suffixes):05}"
        if (resource.plural, name) in self.objects:
            raise ConflictError("AlreadyExists", "taken")
        metadata = {**body["metadata"], "name": name, "creationTimestamp": to_rfc3339(self._clock())}
        return self.put(resource.plural, {**body, "metadata": metadata, "status": {"phase": "Pending"}})

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: JsonObject
    ) -> JsonObject:
        self._write(f"patch {resource.plural}")
        found = self._find(resource, name)
        if found["metadata"]["resourceVersion"] != version:
            raise ConflictError("Conflict", "changed")
        return self.put(resource.plural, {**found, "status": {**found.get("status", {}), **status}})

    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        """Apply a merge patch to the metadata, unless the object has changed since the version in the patch."""
        self._write(f"patch {resource.plural} itself")
        found = self._find(resource, name)["metadata"]
        given = body["metadata"]
        if {**found, **{key: given[key] for key in ("uid", "resourceVersion") if key in given}} != found:
            raise ConflictError("Conflict", "changed")
        merged = {**found, **given}
        for field in ("labels", "annotations"):
            values = {**found.get(field, {}), **given.get(field, {})}
            merged[field] = {key: value for key, value in values.items() if value is not None}
        return self.put(resource.plural, {**self._find(resource, name), "metadata": merged})

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str, version: str = "") -> JsonObject:
        self._write(f"delete {resource.plural}")
        found = self._find(resource, name)
        if found["metadata"]["uid"] != uid or version not in ("", found["metadata"]["resourceVersion"]):
            raise ConflictError("Conflict", "another uid or version")
        if resource.plural != "pods":
            return self.objects.pop((resource.plural, name))
        found["metadata"]["deletionTimestamp"] = "2025-11-22T23:20:11Z"
        return self.put(resource.plural, found)

    def _find(self, resource: Resource, name: str) -> JsonObject:
        if (resource.plural, name) not in self.objects:
            raise NotFoundError("NotFound", "not there")
        return self.objects[resource.plural, name]

    def _write(self, request: str) -> None:
        self.before_write()
        self._fail(request)
        self.writes.append(request)

    def _fail(self, request: str) -> None:
        error = self.errors.pop(request, None)
        if error is not None:
            raise error


class FakeAgentPods:
    """Agent pods: their states by UID, and the received desired states."""

    def __init__(self) -> None:
        self.states: dict[str, AgentPodState] = {}
        self.received: list[JsonObject] = []
        self.next_put_error: Exception | None = None
        self.tags: asyncio.Queue[str | Exception] = asyncio.Queue()
        """Answers to long polls, in order; the state is the pod's."""
        self.waits: list[tuple[str, str]] = []
        """Pod UID and known tag of every long poll."""
        self.asked: list[str] = []
        """UID of the pod of every other question."""

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None:
        self.asked.append(pod_uid)
        return self.states.get(pod_uid)

    async def wait_for_change(self, ip: str, pod_uid: str, tag: str) -> PodNews:
        self.waits.append((pod_uid, tag))
        answer = await self.tags.get()
        if isinstance(answer, Exception):
            raise answer
        return PodNews(answer, self.states.get(pod_uid, AgentPodState("Unbound")) if answer != tag else None)

    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> AgentPodState:
        error, self.next_put_error = self.next_put_error, None
        if error is not None:
            raise error
        self.received.append(desired)
        memory = (desired["memory"] or {}).get("agentID", "")
        joined = self.states[pod_uid].job_epoch if pod_uid in self.states else 0
        self.states[pod_uid] = AgentPodState(
            "Bound", desired["sessionUID"], desired["epoch"], job_epoch=joined, memory_agent_id=memory
        )
        return self.states[pod_uid]


class FakeEventRecorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def record(self, kind: str, about: JsonObject, event: Event) -> None:
        self.events.append(event)


class FakePodWatcher:
    """The followed pods by session, and their states."""

    def __init__(self, pods: FakeAgentPods) -> None:
        self.followed: dict[Key, list[str]] = {}
        self.asked: list[str] = []
        """UIDs of the pods whose state was read, and a second time with `fresh` for each that had to be new."""
        self._pods = pods

    async def state(self, pod: AgentPod, *, fresh: bool = False) -> AgentPodState | None:
        self.asked.append(f"{pod.uid} fresh" if fresh else pod.uid)
        return self._pods.states.get(pod.uid)

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None:
        self.followed[key] = [pod.uid for pod in pods]


class FakeUserMemories:
    """Memories by user; `lookups` records the requested users."""

    def __init__(self) -> None:
        self.answers: dict[str, Memory] = {}
        self.lookups: list[str] = []

    def lookup(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None:
        self.lookups.append(user)
        return self.answers.get(user)


class RecordingQueue:
    """A work queue that only records the added keys: all of them, and which of them as polls or for later."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.polls: list[Key] = []
        self.delayed: list[Key] = []

    def add(self, key: Key) -> None:
        self.keys.append(key)

    def add_poll(self, key: Key) -> None:
        self.keys.append(key)
        self.polls.append(key)

    def add_after(self, key: Key, seconds: float) -> None:
        self.keys.append(key)
        self.delayed.append(key)


class ReconcilerWorld:
    """A session reconciler with fakes of all external systems; the VoiceAgent and one session exist."""

    def __init__(
        self, traces: SessionTraces = OFF, *, agent_cached: bool = True, list_seconds: float = ALWAYS_NEW
    ) -> None:
        """Create the world; without `list_seconds`, every look reads a new list of rooms."""
        self.now, self.list_seconds = T0 + 1, list_seconds
        self.changed_rooms: list[str] = []
        self.changed_pools: list[Key] = []
        self.kube, self.rooms, self.pods = FakeKubernetes(lambda: self.now), FakeRooms(), FakeAgentPods()
        self.recorder, self.cache, self.memories = FakeEventRecorder(), Cache(), FakeUserMemories()
        self.leave_hints, self.pod_watcher = LeaveHints(), FakePodWatcher(self.pods)
        self.lost_webhooks, self._traces = LostWebhookCounter(lambda: self.now), traces
        self.replace_reconciler()
        agent = self.kube.put("voiceagents", operator_objects.agent())
        if agent_cached:
            self.cache.upsert(ResourceKind.AGENT, agent)
        self.cache.upsert(ResourceKind.SESSION, self.kube.put("voicesessions", operator_objects.session()))

    def replace_reconciler(self) -> None:
        """Create the reconciler, like the process of the next leader."""
        addresses = Addresses("ws://livekit:7880", "http://letta:8283", "pw")
        on_change, clock = self.changed_rooms.append, lambda: self.now
        self.directory = RoomDirectory(self.rooms, on_change, clock, self.list_seconds, failure_seconds=0)
        self.claims = PodClaims(self.kube, self.cache, self.changed_pools.append, clock)
        executor = Executor(self.kube, self.directory, self.pods, self.cache, addresses, self.claims, self._traces)
        clients = Clients(self.kube, self.directory, self.recorder, self.memories, self.pod_watcher)
        self.reconciler = SessionReconciler(
            clients, executor, self.cache, self.leave_hints, CONFIG, lambda: self.now, self.lost_webhooks, self._traces
        )

    async def reconcile(self) -> float | None:
        return await self.reconciler.reconcile(HELLO)

    async def pass_time(self, seconds: float) -> None:
        """Reconcile at every poll until that time has passed."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + CONFIG.poll_seconds, end)
            await self.reconcile()

    def session(self) -> JsonObject:
        return self.kube.objects["voicesessions", "hello"]

    def condition(self, kind: str) -> JsonObject:
        found: JsonObject = next(c for c in self.session()["status"]["conditions"] if c["type"] == kind)
        return found

    def pod(self) -> JsonObject:
        (found,) = (body for (kind, _), body in self.kube.objects.items() if kind == "pods")
        return found

    def change_pod(self, **status: Any) -> None:
        """Change the status of the only pod, in Kubernetes and in the cache."""
        pod = self.pod()
        self.cache.upsert(ResourceKind.POD, self.kube.put("pods", {**pod, "status": {**pod["status"], **status}}))

    def delete_agent(self) -> None:
        """Delete the VoiceAgent from Kubernetes and from the cache."""
        self.cache.remove(ResourceKind.AGENT, self.kube.objects.pop(("voiceagents", AGENT)))

    def change_agent(self, spec: JsonObject | None = None, **status: Any) -> None:
        """Change the VoiceAgent, or create it again."""
        found = self.kube.objects.get(("voiceagents", AGENT)) or operator_objects.agent()
        changed = {**found, "spec": spec or found["spec"], "status": status}
        self.cache.upsert(ResourceKind.AGENT, self.kube.put("voiceagents", changed))

    def annotate(self, name: str, value: str) -> None:
        found = self.session()
        changed = {**found, "metadata": {**found["metadata"], "annotations": {name: value}}}
        self.cache.upsert(ResourceKind.SESSION, self.kube.put("voicesessions", changed))

    def change_spec(self, **spec: Any) -> None:
        found = self.session()
        changed = {**found, "spec": {**found["spec"], **spec}}
        self.cache.upsert(ResourceKind.SESSION, self.kube.put("voicesessions", changed))
