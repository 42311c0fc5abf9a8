"""Interfaces of the controller to external systems, implemented by the clients and by test fakes."""

from collections.abc import Iterable
from typing import Protocol

from voicesession_common import JsonObject
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession

from voicesession_operator.controller.cache import Key
from voicesession_operator.domain.actions import Event
from voicesession_operator.domain.agent_plan import Memory
from voicesession_operator.domain.observed import AgentPod, AgentPodState, ListedRoom, Participant, PodNews


class LiveKitRooms(Protocol):
    """LiveKit's rooms; see clients.livekit."""

    async def list_rooms(self) -> dict[str, ListedRoom]: ...
    async def list_participants(self, name: str) -> tuple[Participant, ...]: ...
    async def create_room(self, name: str, metadata: str, max_participants: int) -> ListedRoom: ...
    async def delete_room(self, name: str) -> None: ...
    def agent_token(self, room: str, identity: str, display_name: str, ttl_seconds: int, epoch: int) -> str: ...
    def admin_token(self, room: str, ttl_seconds: int) -> str: ...


class AgentPods(Protocol):
    """The agent pods' control ports; see clients.agent_pod."""

    async def conversation(self, ip: str, pod_uid: str) -> JsonObject | None: ...
    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None: ...
    async def wait_for_change(self, ip: str, pod_uid: str, tag: str) -> PodNews: ...
    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> AgentPodState | None: ...


class DesiredStateReceiver(Protocol):
    """Desired states of agent pods, and conversations that go from one to the next; see controller.pod_watcher."""

    async def conversation(self, ip: str, pod_uid: str) -> JsonObject | None: ...
    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> object: ...


class PodProblems(Protocol):
    """The states of pods that no session has claimed; see clients.agent_pod."""

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None: ...


class WarmPods(Protocol):
    """The warm pods of the pools; see controller.pod_claims."""

    async def claim(self, session: VoiceSession, manifest: JsonObject) -> JsonObject | None: ...


class PodStates(Protocol):
    """The watcher of agent pods' states; see controller.pod_watcher."""

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None: ...
    async def state(self, pod: AgentPod, *, fresh: bool = False) -> AgentPodState | None: ...


class UserMemoryLookup(Protocol):
    """The memories of users; see controller.user_memory."""

    def lookup(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None: ...


class EventSink(Protocol):
    """Kubernetes events; see clients.event_recorder."""

    async def record(self, kind: str, about: JsonObject, event: Event) -> None: ...
