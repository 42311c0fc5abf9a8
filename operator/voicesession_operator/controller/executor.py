"""Executes the actions of a plan.

Every action is idempotent. The API server's answers go into the cache at once, before the watch delivers them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import PODS, SESSIONS, KubernetesApi

from voicesession_operator.controller.cache import Cache, Key, ResourceKind, session_uid_of, uid_of
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.controller.pod_watcher import is_owned_by
from voicesession_operator.controller.ports import DesiredStateReceiver, WarmPods
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
from voicesession_operator.domain.memory import has_user_memory
from voicesession_operator.domain.observed import Failure

ALREADY_EXISTS: Final = "AlreadyExists"
"""Kubernetes' reason for a taken name. Other conflicts, such as a changed ResourceQuota, pass by themselves."""
NAME_CONFLICT: Final = "NameConflict"


@dataclass(frozen=True)
class Addresses:
    """Addresses and credentials that agent pods receive. Contains Letta's key and must not be logged."""

    livekit_url: str
    letta_url: str = ""
    letta_api_key: str = ""


class Executor:
    """Turns actions into requests."""

    def __init__(
        self,
        kube: KubernetesApi,
        rooms: RoomDirectory,
        pods: DesiredStateReceiver,
        cache: Cache,
        addresses: Addresses,
        claims: WarmPods,
        traces: SessionTraces = OFF,
    ) -> None:
        self._kube = kube
        self._directory, self._rooms = rooms, rooms.client
        self._pods = pods
        self._cache = cache
        self._addresses = addresses
        self._claims = claims
        self._traces = traces

    async def execute(self, session: VoiceSession, agent: VoiceAgent | None, action: Action) -> Failure | None:
        """Execute one action for the session. Return None on success."""
        try:
            match action:
                case CreateRoom():
                    await self._directory.create_room(action.name, action.metadata, action.max_participants)
                case DeleteRoom():
                    await self._directory.delete_room(action.name)
                case CreatePod():
                    await self._create_pod(session, action.manifest)
                case DeletePod():
                    await self._delete_pod(session, action)
                case SetPodState():
                    await self._set_pod_state(session, agent, action)
                case DeleteSession():
                    await _ignore_missing(
                        lambda: self._kube.delete(SESSIONS, session.namespace, session.name, action.uid)
                    )
        except ExternalError as error:
            terminal = isinstance(error, TerminalError)
            return Failure(type(action).__name__, error.reason, error.message, terminal)
        return None

    async def _create_pod(self, session: VoiceSession, manifest: JsonObject) -> None:
        """Claim a warm pod, or else create one."""
        if await self._claims.claim(session, manifest) is not None:
            return
        try:
            pod = await self._kube.create(PODS, session.namespace, manifest)
        except ConflictError as error:
            if error.reason != ALREADY_EXISTS:
                raise RetryableError(error.reason, error.message) from error
            pod = await self._adopt(session, manifest["metadata"]["name"])
        self._cache.upsert(ResourceKind.POD, pod)

    async def _adopt(self, session: VoiceSession, name: str) -> JsonObject:
        """Return the existing pod with this name if an earlier attempt created it. Raise TerminalError otherwise."""
        pod = await self._kube.get(PODS, session.namespace, name)
        if not is_owned_by(pod, session) or session_uid_of(pod) != session.uid:
            raise TerminalError(NAME_CONFLICT, f'a pod named "{name}" exists and has another owner')
        return pod

    async def _delete_pod(self, session: VoiceSession, action: DeletePod) -> None:
        answer = await _ignore_missing(lambda: self._kube.delete(PODS, session.namespace, action.name, action.uid))
        if answer and answer.get("kind") == "Pod":
            self._cache.upsert(ResourceKind.POD, answer)
        known = self._cache.get(ResourceKind.POD, Key(session.namespace, action.name))
        if answer is None and known is not None and uid_of(known) == action.uid:
            # The watch has missed the deletion, and the replacement waits for it.
            self._cache.remove(ResourceKind.POD, known)

    async def _set_pod_state(self, session: VoiceSession, agent: VoiceAgent | None, action: SetPodState) -> None:
        body = self._desired_state_body(session, agent, action)
        if action.continues is not None:
            body["conversation"] = await self._pods.conversation(*action.continues)
        await self._pods.put_state(action.pod_ip, action.pod_uid, body)

    def _desired_state_body(self, session: VoiceSession, agent: VoiceAgent | None, action: SetPodState) -> JsonObject:
        token = self._rooms.agent_token(
            action.room_name, action.identity, action.display_name, action.ttl_seconds, action.epoch
        )
        return {
            "sessionUID": action.session_uid,
            "epoch": action.epoch,
            "room": {
                "name": action.room_name,
                "url": self._addresses.livekit_url,
                "sid": action.room_sid,
                "metadata": self._directory.marked(action.room_metadata),
            },
            "token": token,
            "adminToken": self._rooms.admin_token(action.room_name, action.ttl_seconds),
            "identity": action.identity,
            "agentMetadata": action.agent_metadata,
            "cause": str(action.cause),
            "memory": self._memory(action, recalls=_has_own_memory(session, agent, action)),
            "capture": bool(agent and agent.letta and agent.letta.capture) and not action.memory_read_only,
            "idleSeconds": action.idle_seconds,
            "prewarm": action.prewarm,
            "traceparent": self._traces.traceparent(session),
        }

    def _memory(self, action: SetPodState, *, recalls: bool) -> JsonObject | None:
        if not action.memory_agent_id or not self._addresses.letta_url:
            return None
        return {
            "baseURL": self._addresses.letta_url,
            "agentID": action.memory_agent_id,
            "recall": recalls,
            "apiKey": self._addresses.letta_api_key,
            "readOnly": action.memory_read_only,
            "remember": action.memory_remember,
            "rememberBlock": action.memory_remember_block,
        }


def _has_own_memory(session: VoiceSession, agent: VoiceAgent | None, action: SetPodState) -> bool:
    """Return True if the memory has conversations of the session's user only."""
    if agent is None or not has_user_memory(session, agent):
        return False
    return action.memory_agent_id != agent.letta_agent_id


async def _ignore_missing(delete: Callable[[], Awaitable[JsonObject]]) -> JsonObject | None:
    """Delete an object. Return None if it is gone already or its name belongs to another object."""
    try:
        return await delete()
    except (NotFoundError, ConflictError):
        return None
