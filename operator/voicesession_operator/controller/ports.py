"""What the controller needs of the outside, so that its tests can stand in for it."""

from collections.abc import Iterable
from typing import Any, Protocol

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.kube_client import Resource

from voicesession_operator.clients.livekit import OwnedRoom
from voicesession_operator.controller.cache import Key
from voicesession_operator.domain.actions import Event
from voicesession_operator.domain.agent_plan import Memory
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Room, RoomUnknown

Object = dict[str, Any]


class Kube(Protocol):
    """The Kubernetes API; see adapters.kube for what each method raises."""

    async def list(self, resource: Resource, namespace: str = "", selector: str = "") -> tuple[list[Object], str]: ...
    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...
    async def create(self, resource: Resource, namespace: str, body: Object) -> Object: ...
    async def patch_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: Object
    ) -> Object: ...
    async def delete(
        self, resource: Resource, namespace: str, name: str, uid: str, grace_seconds: int | None = None
    ) -> Object: ...


class Rooms(Protocol):
    """LiveKit; see adapters.livekit."""

    async def observe(self, name: str) -> Room | RoomUnknown | None: ...
    async def create_room(self, name: str, metadata: str, max_participants: int) -> None: ...
    async def delete_room(self, name: str) -> None: ...
    async def list_our_rooms(self, installation_id: str) -> list[OwnedRoom]: ...
    def agent_token(self, room: str, identity: str, display_name: str, ttl_seconds: int) -> str: ...


class Control(Protocol):
    """The agent pods' control ports; see adapters.agent_pod."""

    async def state(self, ip: str, pod_uid: str) -> AgentPodState | None: ...
    async def next_tag(self, ip: str, pod_uid: str, tag: str) -> str: ...
    async def tell(self, ip: str, pod_uid: str, wanted: Object) -> None: ...


class News(Protocol):
    """What agent pods tell unasked; see controller.pod_news."""

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None: ...


class UserMemories(Protocol):
    """Where users are remembered; see controller.user_memories."""

    def of(self, agent: VoiceAgent, user: str, session: Key) -> Memory | None: ...


class Recorder(Protocol):
    """Kubernetes events; see adapters.recorder."""

    async def record(self, kind: str, about: Object, event: Event) -> None: ...
