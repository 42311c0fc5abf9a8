"""The API objects of many live sessions: VoiceSessions with one human each, and pods that no kubelet runs."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition
from voicesession_common.api.reasons import ConditionType, Reason
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voiceagent import Inherited, VoiceAgent
from voicesession_common.api.voicesession import Status, VoiceSession
from voicesession_common.errors import ExternalError, NotFoundError
from voicesession_common.kube_client import AGENTS, PODS, SESSIONS, KubeClient, Resource
from voicesession_operator.domain.naming import agent_identity, pod_name, room_metadata, room_name
from voicesession_operator.domain.observed import Config
from voicesession_operator.domain.pod_manifest import build_pod

from tests.bench.simulation import SimulatedSession

T = TypeVar("T")

NAMESPACES = Resource("/api/v1", "namespaces")
NODES = Resource("/api/v1", "nodes")
AGENT = "scale"
CONCURRENT = 24
SESSIONS_OF_NAMESPACE = 1000
TRIES = 5
PUBLIC_URL = "ws://livekit"
"""LiveKit's URL for humans, which is in every status; that of the simulation is not known yet."""


@dataclass
class ScaleObjects:
    """The objects of one measurement; `progress` gets lines of text."""

    kube: KubeClient
    progress: Callable[[str], None]
    name: str = field(default_factory=lambda: f"scale-{secrets.token_hex(3)}")
    namespaces: list[str] = field(default_factory=list)
    sessions: list[SimulatedSession] = field(default_factory=list)

    @property
    def config(self) -> Config:
        """Return the configuration of the operator under test, as far as pods show it."""
        return Config("scale.invalid/agent:none", "Never", "", PUBLIC_URL, PUBLIC_URL, self.name)

    async def create(self, count: int) -> None:
        """Create `count` live sessions."""
        # The garbage collector of pods removes those of a node that does not exist, hence a node without a kubelet.
        await self.kube.create(NODES, "", _object("v1", "Node", self.name, spec={"unschedulable": True}))
        self.namespaces = [f"{self.name}-{n}" for n in range(-(-count // SESSIONS_OF_NAMESPACE))]
        for namespace in self.namespaces:
            await self.kube.create(NAMESPACES, "", _object("v1", "Namespace", namespace))
            await self.kube.create(AGENTS, namespace, _agent())
        self.sessions = await _gather(self._create_session, count, self.progress)

    async def remove(self) -> None:
        """Delete all objects, the pods without a grace: no kubelet confirms their end."""
        for namespace in self.namespaces:
            for kind in (SESSIONS, PODS, AGENTS):
                found = await self._listed(kind, namespace)
                await _gather(lambda n, kind=kind, found=found: self._delete(kind, found[n]), len(found), None)
        for kind, names in ((NAMESPACES, self.namespaces), (NODES, [self.name])):
            for name in names:
                with suppress(NotFoundError):
                    await self._delete(kind, await self.kube.get(kind, "", name))

    async def _listed(self, kind: Resource, namespace: str) -> list[JsonObject]:
        found, _ = await self.kube.list(kind, namespace)
        return found

    async def _delete(self, kind: Resource, raw: JsonObject) -> None:
        meta = raw["metadata"]
        with suppress(ExternalError):
            await self.kube.delete(kind, meta.get("namespace", ""), meta["name"], meta["uid"])

    async def _create_session(self, number: int) -> SimulatedSession:
        namespace = self.namespaces[number // SESSIONS_OF_NAMESPACE]
        spec = {"agentRef": {"name": AGENT}, "onLastHumanLeft": {"graceSeconds": 3600, "reconnectGraceSeconds": 3600}}
        body = _object("voicesession.dev/v1alpha1", "VoiceSession", f"call-{number}", spec=spec)
        raw = await self._retried(lambda: self.kube.create(SESSIONS, namespace, body))
        session = VoiceSession.parse(raw)
        status = _live_status(session, pod_name(session.name, session.uid, 0)).render()
        version = raw["metadata"]["resourceVersion"]
        pod, _ = await asyncio.gather(
            self._create_pod(session, number),
            self._retried(lambda: self.kube.patch_status(SESSIONS, namespace, session.name, version, status)),
        )
        return SimulatedSession(
            room=room_name(session.uid),
            metadata=room_metadata(session, self.name),
            session_uid=session.uid,
            pod_uid=pod["metadata"]["uid"],
            ip=_ip(number),
            identity=agent_identity(AGENT),
        )

    async def _create_pod(self, session: VoiceSession, number: int) -> JsonObject:
        meta = {"name": AGENT, "namespace": session.namespace, "uid": AGENT}
        manifest = build_pod(session, VoiceAgent.parse({**_agent(), "metadata": meta}), 0, self.config)
        tolerations, grace = [{"operator": "Exists"}], {"terminationGracePeriodSeconds": 0}
        manifest["spec"] |= {"nodeName": self.name, "tolerations": tolerations, **grace}
        pod = await self._retried(lambda: self.kube.create(PODS, session.namespace, manifest))
        made, now, ip = pod["metadata"], to_rfc3339(time.time())[:19] + "Z", _ip(number)
        running = [{"type": "Ready", "status": "True", "lastTransitionTime": now}]
        status: JsonObject = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": running}
        version = made["resourceVersion"]
        await self._retried(lambda: self.kube.patch_status(PODS, session.namespace, made["name"], version, status))
        return pod

    async def _retried(self, request: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        for left in reversed(range(TRIES)):
            try:
                return await request()
            except ExternalError:  # Also a new namespace without its service account.
                if not left:
                    raise
                await asyncio.sleep(1)
        raise AssertionError


@asynccontextmanager
async def live_sessions(kube: KubeClient, count: int, progress: Callable[[str], None]) -> AsyncIterator[ScaleObjects]:
    """Create `count` live sessions, and remove them afterwards in every case."""
    objects = ScaleObjects(kube, progress)
    try:
        await objects.create(count)
        yield objects
    finally:
        progress("removing all objects")
        await objects.remove()


def _object(version: str, kind: str, name: str, **parts: JsonObject) -> JsonObject:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **parts}


def _agent() -> JsonObject:
    return _object("voicesession.dev/v1alpha1", "VoiceAgent", AGENT, spec={})


def _ip(number: int) -> str:
    """Return the address of a pod: 127.64.0.1 and up."""
    return f"127.{64 + number // 65000}.{number % 65000 // 250}.{number % 250 + 1}"


def _live_status(session: VoiceSession, pod: str) -> Status:
    """Return the status as the operator stores it, so that no leader has to write one first."""
    now, room = time.time(), room_name(session.uid)
    texts = {
        ConditionType.ROOM_READY: (Reason.ROOM_CREATED, "The room exists"),
        ConditionType.AGENT_JOINED: (Reason.JOINED, "The agent is in the room"),
        ConditionType.READY: (Reason.READY, "The agent is in the room"),
    }
    return Status(
        observed_generation=1,
        inherited=Inherited(),
        conditions=tuple(Condition(kind, "True", reason, text, now) for kind, (reason, text) in texts.items()),
        phase="Active",
        room_name=room,
        room_sid=f"RM_{room}",
        room_url=PUBLIC_URL,
        agent_pod=pod,
        pod_ordinal=0,
        agent_identity=agent_identity(AGENT),
        agent_epoch=1,
        humans=1,
        started_at=now,
        ready_at=now,
        first_human_at=now,
    )


async def _gather(work: Callable[[int], Awaitable[T]], count: int, progress: Callable[[str], None] | None) -> list[T]:
    """Run `work` for 0 to count - 1, CONCURRENT at a time, with a line of progress for every 500."""
    limit, done = asyncio.Semaphore(CONCURRENT), 0

    async def one(number: int) -> T:
        nonlocal done
        async with limit:
            made = await work(number)
        done += 1
        if progress is not None and done % 500 == 0:
            progress(f"{done}/{count} sessions created")
        return made

    return list(await asyncio.gather(*(one(number) for number in range(count))))
