"""Stand-ins for Kubernetes, LiveKit and agent pods: they remember what was asked of them and can be told to fail."""

import asyncio
import copy
from collections.abc import Callable, Iterable
from typing import Any

from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError
from voicesession_common.kube_client import Resource
from voicesession_operator.clients.livekit import OwnedRoom
from voicesession_operator.controller.cache import Cache, Key, Kind
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.session_reconciler import Outside, SessionReconciler
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.controller.webhook_tracking import Hints, WebhookLosses
from voicesession_operator.domain.actions import Event
from voicesession_operator.domain.agent_plan import Memory
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Participant, Room, RoomUnknown

from tests.support import operator_objects
from tests.support.builders import AGENT, CONFIG, T0

Object = dict[str, Any]

HELLO = Key("default", "hello")


class Kube:
    """Objects by resource and name; every write gets the next resourceVersion. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = lambda: T0) -> None:
        self._clock = clock
        self.objects: dict[tuple[str, str], Object] = {}
        self.version = 100
        self.writes: list[str] = []
        self.errors: dict[str, ExternalError] = {}
        """`verb resource` -> what it raises, once."""

    def put(self, resource: str, body: Object) -> Object:
        self.version += 1
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(self.version)
        stored["metadata"].setdefault("uid", f"{stored['metadata']['name']}-uid")
        self.objects[resource, stored["metadata"]["name"]] = stored
        return copy.deepcopy(stored)

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[Object], str]:
        self._fail(f"list {resource.plural}")
        found = [copy.deepcopy(body) for (kind, _), body in self.objects.items() if kind == resource.plural]
        return found, str(self.version)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._fail(f"get {resource.plural}")
        return copy.deepcopy(self._find(resource, name))

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        self._write(f"create {resource.plural}")
        if (resource.plural, body["metadata"]["name"]) in self.objects:
            raise ConflictError("AlreadyExists", "taken")
        metadata = {**body["metadata"], "creationTimestamp": to_rfc3339(self._clock())}
        return self.put(resource.plural, {**body, "metadata": metadata, "status": {"phase": "Pending"}})

    async def patch_status(self, resource: Resource, namespace: str, name: str, version: str, status: Object) -> Object:
        self._write(f"patch {resource.plural}")
        found = self._find(resource, name)
        if found["metadata"]["resourceVersion"] != version:
            raise ConflictError("Conflict", "changed")
        return self.put(resource.plural, {**found, "status": {**found.get("status", {}), **status}})

    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, grace_seconds: int | None = None
    ) -> Object:
        self._write(f"delete {resource.plural}")
        found = self._find(resource, name)
        if found["metadata"]["uid"] != uid:
            raise ConflictError("Conflict", "another uid")
        if grace_seconds is None:
            return self.objects.pop((resource.plural, name))
        found["metadata"]["deletionTimestamp"] = "2025-11-22T23:20:11Z"
        return self.put(resource.plural, found)

    def _find(self, resource: Resource, name: str) -> Object:
        if (resource.plural, name) not in self.objects:
            raise NotFoundError("NotFound", "not there")
        return self.objects[resource.plural, name]

    def _write(self, what: str) -> None:
        self._fail(what)
        self.writes.append(what)

    def _fail(self, what: str) -> None:
        error = self.errors.pop(what, None)
        if error is not None:
            raise error


class Rooms:
    """LiveKit: rooms by name, `down` for an outage, `error` for what a change of rooms raises."""

    def __init__(self) -> None:
        self.rooms: dict[str, list[Participant]] = {}
        self.down: RoomUnknown | None = None
        self.error: ExternalError | None = None
        self.owned: list[OwnedRoom] = []
        self.deleted: list[str] = []

    async def observe(self, name: str) -> Room | RoomUnknown | None:
        if self.down is not None:
            return self.down
        return Room(f"RM_{name}", tuple(self.rooms[name])) if name in self.rooms else None

    async def create_room(self, name: str, metadata: str, max_participants: int) -> None:
        self._check()
        self.rooms.setdefault(name, [])

    async def delete_room(self, name: str) -> None:
        self._check()
        self.deleted.append(name)
        self.rooms.pop(name, None)

    async def list_our_rooms(self, installation_id: str) -> list[OwnedRoom]:
        self._check()
        return self.owned

    def agent_token(self, room: str, identity: str, display_name: str, ttl_seconds: int) -> str:
        return f"token for {identity} in {room}"

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class Control:
    """Agent pods: what they answer, by UID, and what they were told."""

    def __init__(self) -> None:
        self.states: dict[str, AgentPodState] = {}
        self.told: list[Object] = []
        self.tags: asyncio.Queue[str | ExternalError] = asyncio.Queue()
        """What those who wait for news get, one after another."""
        self.waits: list[tuple[str, str]] = []
        """The pods' UIDs and the tags that were known."""

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None:
        return self.states.get(pod_uid)

    async def next_tag(self, ip: str, pod_uid: str, tag: str) -> str:
        self.waits.append((pod_uid, tag))
        told = await self.tags.get()
        if isinstance(told, ExternalError):
            raise told
        return told

    async def tell(self, ip: str, pod_uid: str, wanted: Object) -> None:
        self.told.append(wanted)
        memory = (wanted["memory"] or {}).get("agentID", "")
        joined = self.states[pod_uid].job_epoch if pod_uid in self.states else 0
        self.states[pod_uid] = AgentPodState(
            "Bound", wanted["sessionUID"], wanted["epoch"], job_epoch=joined, memory_agent_id=memory
        )


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    async def record(self, kind: str, about: Object, event: Event) -> None:
        self.events.append(event)


class News:
    """Which pods are listened to, by session."""

    def __init__(self) -> None:
        self.followed: dict[Key, list[str]] = {}

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None:
        self.followed[key] = [pod.uid for pod in pods]


class Users:
    """Where users are remembered: answers by user; `asked` keeps who was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Memory] = {}
        self.asked: list[str] = []

    def of(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None:
        self.asked.append(user)
        return self.answers.get(user)


class World:
    """A session reconciler with everything it talks to; the VoiceAgent and one session exist."""

    def __init__(self, traces: SessionTraces = OFF) -> None:
        self.now = T0 + 1
        self.kube, self.rooms, self.control = Kube(lambda: self.now), Rooms(), Control()
        self.recorder, self.cache, self.hints, self.memories = Recorder(), Cache(), Hints(), Users()
        self.news = News()
        addresses = Addresses("ws://livekit:7880", "http://letta:8283", "pw")
        executor = Executor(self.kube, self.rooms, self.control, self.cache, addresses, traces)
        outside = Outside(self.kube, self.rooms, self.control, self.recorder, self.memories, self.news)
        self.losses = WebhookLosses(lambda: self.now)
        self.reconciler = SessionReconciler(
            outside, executor, self.cache, self.hints, CONFIG, lambda: self.now, self.losses, traces
        )
        self.cache.upsert(Kind.AGENT, self.kube.put("voiceagents", operator_objects.agent()))
        self.cache.upsert(Kind.SESSION, self.kube.put("voicesessions", operator_objects.session()))

    async def reconcile(self) -> float | None:
        return await self.reconciler.reconcile(HELLO)

    def session(self) -> Object:
        return self.kube.objects["voicesessions", "hello"]

    def condition(self, kind: str) -> Object:
        found: Object = next(c for c in self.session()["status"]["conditions"] if c["type"] == kind)
        return found

    def pod(self) -> Object:
        (found,) = (body for (kind, _), body in self.kube.objects.items() if kind == "pods")
        return found

    def change_pod(self, **status: Any) -> None:
        """Kubernetes tells of a change of the one pod."""
        pod = self.pod()
        self.cache.upsert(Kind.POD, self.kube.put("pods", {**pod, "status": {**pod["status"], **status}}))

    def change_agent(self, spec: Object | None = None, **status: Any) -> None:
        found = self.kube.objects["voiceagents", AGENT]
        changed = {**found, "spec": spec or found["spec"], "status": status}
        self.cache.upsert(Kind.AGENT, self.kube.put("voiceagents", changed))

    def annotate(self, name: str, value: str) -> None:
        found = self.session()
        changed = {**found, "metadata": {**found["metadata"], "annotations": {name: value}}}
        self.cache.upsert(Kind.SESSION, self.kube.put("voicesessions", changed))

    def change_spec(self, **spec: Any) -> None:
        found = self.session()
        changed = {**found, "spec": {**found["spec"], **spec}}
        self.cache.upsert(Kind.SESSION, self.kube.put("voicesessions", changed))
