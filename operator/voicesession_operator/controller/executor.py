"""Carries out what plan() asked for. Every action may be carried out twice; what the API server answers goes into the
cache at once, because the watch would tell it later."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, TerminalError
from voicesession_common.kube_client import PODS, SESSIONS

from voicesession_operator.controller.cache import Cache, Key, Kind, uid_of
from voicesession_operator.controller.observation import is_controlled_by
from voicesession_operator.controller.ports import Control, Kube, Rooms
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.domain.actions import (
    Action,
    CreatePod,
    CreateRoom,
    DeletePod,
    DeleteRoom,
    DeleteSession,
    SetPodState,
)
from voicesession_operator.domain.observed import Failure

Object = dict[str, Any]

NAME_CONFLICT: Final = "NameConflict"


@dataclass(frozen=True)
class Addresses:
    """What agent pods are told about the outside; holds Letta's key, so it is never logged."""

    livekit_url: str
    letta_url: str = ""
    letta_api_key: str = ""


class Executor:
    """Turns actions into calls."""

    def __init__(
        self,
        kube: Kube,
        rooms: Rooms,
        control: Control,
        cache: Cache,
        addresses: Addresses,
        traces: SessionTraces = OFF,
    ) -> None:
        self._kube = kube
        self._rooms = rooms
        self._control = control
        self._cache = cache
        self._addresses = addresses
        self._traces = traces

    async def carry_out(self, session: VoiceSession, agent: VoiceAgent | None, action: Action) -> Failure | None:
        """One action for that session; None if it worked."""
        try:
            await self._do(session, agent, action)
        except ExternalError as error:
            terminal = isinstance(error, TerminalError)
            return Failure(type(action).__name__, error.reason, error.message, terminal)
        return None

    async def _do(self, session: VoiceSession, agent: VoiceAgent | None, action: Action) -> None:
        match action:
            case CreateRoom():
                await self._rooms.create_room(action.name, action.metadata, action.max_participants)
            case DeleteRoom():
                await self._rooms.delete_room(action.name)
            case CreatePod():
                await self._create_pod(session, action.manifest)
            case DeletePod():
                await self._delete_pod(session, action)
            case SetPodState():
                await self._control.tell(action.pod_ip, action.pod_uid, self._wanted(session, agent, action))
            case DeleteSession():
                await _unless_gone(lambda: self._kube.delete(SESSIONS, session.namespace, session.name, action.uid))

    async def _create_pod(self, session: VoiceSession, manifest: Object) -> None:
        try:
            pod = await self._kube.create(PODS, session.namespace, manifest)
        except ConflictError:
            pod = await self._adopt(session, manifest["metadata"]["name"])
        self._cache.upsert(Kind.POD, pod)

    async def _adopt(self, session: VoiceSession, name: str) -> Object:
        """The name is taken: by an earlier try of our own, or by something that is none of our business."""
        pod = await self._kube.get(PODS, session.namespace, name)
        if not is_controlled_by(pod, session.uid):
            raise TerminalError(NAME_CONFLICT, f'a pod named "{name}" exists and belongs to somebody else')
        return pod

    async def _delete_pod(self, session: VoiceSession, action: DeletePod) -> None:
        answer = await _unless_gone(
            lambda: self._kube.delete(PODS, session.namespace, action.name, action.uid, action.grace_seconds)
        )
        if answer and answer.get("kind") == "Pod":
            self._cache.upsert(Kind.POD, answer)
        known = self._cache.get(Kind.POD, Key(session.namespace, action.name))
        if answer is None and known is not None and uid_of(known) == action.uid:
            self._cache.remove(Kind.POD, known)  # the watch has missed its end, and its successor waits for that

    def _wanted(self, session: VoiceSession, agent: VoiceAgent | None, action: SetPodState) -> Object:
        token = self._rooms.agent_token(action.room_name, action.identity, action.display_name, action.ttl_seconds)
        return {
            "sessionUID": action.session_uid,
            "epoch": action.epoch,
            "room": {"name": action.room_name, "url": self._addresses.livekit_url},
            "token": token,
            "identity": action.identity,
            "cause": str(action.cause),
            "memory": self._memory(action),
            "capture": bool(agent and agent.letta and agent.letta.capture) and not action.memory_read_only,
            "idleSeconds": action.idle_seconds,
            "end": False,
            "traceparent": self._traces.traceparent(session),
        }

    def _memory(self, action: SetPodState) -> Object | None:
        if not action.memory_agent_id or not self._addresses.letta_url:
            return None
        return {
            "baseURL": self._addresses.letta_url,
            "agentID": action.memory_agent_id,
            "apiKey": self._addresses.letta_api_key,
            "readOnly": action.memory_read_only,
        }


async def _unless_gone(send: Callable[[], Awaitable[Object]]) -> Object | None:
    """A deletion; None if the object is gone already or its name belongs to another one by now."""
    try:
        return await send()
    except (NotFoundError, ConflictError):
        return None
