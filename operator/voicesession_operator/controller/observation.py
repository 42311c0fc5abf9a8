"""Observation of one session: its pods from the cache, its room from LiveKit and the pods' own states."""

import asyncio
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import from_rfc3339
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession

from voicesession_operator.controller.cache import Cache, Key
from voicesession_operator.controller.ports import AgentPods, LiveKitRooms, UserMemoryLookup
from voicesession_operator.controller.webhook_tracking import LeaveHints
from voicesession_operator.domain.memory import has_user_memory
from voicesession_operator.domain.naming import room_name
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Failure, Observed

STARTING: Final = ("", "ContainerCreating", "PodInitializing")
"""Waiting reasons of a normal start."""


class SessionObserver:
    """Collects the input of `plan()`."""

    def __init__(
        self, cache: Cache, rooms: LiveKitRooms, pods: AgentPods, memories: UserMemoryLookup, hints: LeaveHints
    ) -> None:
        self._cache = cache
        self._rooms = rooms
        self._pods = pods
        self._memories = memories
        self._hints = hints

    async def observe(
        self, session: VoiceSession, agent: VoiceAgent | None, failures: tuple[Failure, ...] = ()
    ) -> Observed:
        """Read the room and the pods' states concurrently."""
        pods = owned_pods(self._cache.pods_of(session.uid), session.uid)
        room, states = await asyncio.gather(self._rooms.observe(room_name(session.uid)), self._pod_states(pods))
        key = Key(session.namespace, session.name)
        own_memory = has_user_memory(session, agent)
        memory = self._memories.lookup(agent, session.user, key) if agent and own_memory else None
        return Observed(agent, pods, room, states, memory, self._hints.leave(key), failures)

    async def _pod_states(self, pods: tuple[AgentPod, ...]) -> dict[str, AgentPodState]:
        """Return the states by pod UID; there is more than one pod only during a recycle."""
        reachable = [pod for pod in pods if pod.live and pod.ip]
        answers = await asyncio.gather(*(self._pods.state(pod.ip, pod.uid) for pod in reachable))
        found = zip(reachable, answers, strict=True)
        return {pod.uid: answer for pod, answer in found if answer is not None}


def owned_pods(raw_pods: list[JsonObject], session_uid: str) -> tuple[AgentPod, ...]:
    """Return the pods that the session controls: labels can be forged or copied, owner UIDs cannot."""
    return tuple(to_pod(raw) for raw in raw_pods if is_controlled_by(raw, session_uid))


def to_pod(raw: JsonObject) -> AgentPod:
    """Convert a v1 Pod, slimmed or complete."""
    meta, status = raw["metadata"], raw.get("status") or {}
    ordinal = meta.get("annotations", {}).get(constants.ORDINAL_ANNOTATION, "")
    return AgentPod(
        name=meta["name"],
        uid=meta["uid"],
        ordinal=int(ordinal) if ordinal.isdecimal() else 0,
        phase=status.get("phase", "Pending"),
        ip=status.get("podIP", ""),
        deleting="deletionTimestamp" in meta,
        created_at=from_rfc3339(meta.get("creationTimestamp")) or 0.0,
        problem=_problem(status),
    )


def is_controlled_by(raw: JsonObject, uid: str) -> bool:
    """Return whether the object with this UID is the pod's controller."""
    owners = raw["metadata"].get("ownerReferences", ())
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def _problem(status: JsonObject) -> str:
    for container in status.get("containerStatuses", ()):
        state = container.get("state", {})
        waiting = state.get("waiting", {})
        if waiting.get("reason", "") not in STARTING:
            return _text(waiting)
        terminated = state.get("terminated")
        if terminated:
            return f"{terminated.get('reason', 'Terminated')}: exit code {terminated.get('exitCode')}"
    if status.get("reason"):
        return _text(status)
    return _unschedulable(status)


def _unschedulable(status: JsonObject) -> str:
    conditions = status.get("conditions", ())
    blocked = (c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False")
    return next((_text(condition) for condition in blocked), "")


def _text(state: JsonObject) -> str:
    message = state.get("message", "")
    return f"{state['reason']}: {message}" if message else str(state["reason"])
