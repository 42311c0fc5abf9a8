"""Observation of one session: its pods from the cache, its room from LiveKit and the pods' own states."""

import asyncio
from collections.abc import Callable
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
from voicesession_operator.domain.naming import pod_name, room_name
from voicesession_operator.domain.observed import AgentPod, AgentPodState, Failure, Observed, Watch
from voicesession_operator.domain.pods import highest_allowed_ordinal

LONGEST_GAP_POLLS: Final = 3
"""Polls between two looks that count as watching; a longer gap is an outage or an overload of the operator."""
STARTING: Final = ("", "ContainerCreating", "PodInitializing")
"""Waiting reasons of a normal start."""
ORDINAL_DIGITS: Final = 9


class SessionObserver:
    """Collects the input of `plan()`. `clock` returns Unix seconds."""

    def __init__(
        self,
        cache: Cache,
        rooms: LiveKitRooms,
        pods: AgentPods,
        memories: UserMemoryLookup,
        hints: LeaveHints,
        clock: Callable[[], float],
        poll_seconds: float,
    ) -> None:
        self._cache = cache
        self._rooms = rooms
        self._pods = pods
        self._memories = memories
        self._hints = hints
        self._clock = clock
        self._longest_gap = LONGEST_GAP_POLLS * poll_seconds
        self._watches: dict[Key, Watch] = {}

    def forget(self, key: Key) -> None:
        """Forget a session that is finished or gone."""
        self._watches.pop(key, None)

    async def observe(
        self, session: VoiceSession, agent: VoiceAgent | None, failures: tuple[Failure, ...] = ()
    ) -> Observed:
        """Read the room and the pods' states concurrently."""
        pods = owned_pods(self._cache.pods_of(session.namespace, session.uid), session)
        room, states = await asyncio.gather(self._rooms.observe(room_name(session.uid)), self._pod_states(pods))
        key = Key(session.namespace, session.name)
        self._hints.on_observed(key, room, self._clock())
        own_memory = has_user_memory(session, agent)
        memory = self._memories.lookup(agent, session.user, key) if agent and own_memory else None
        hints, last_seen = self._hints.hints(key), self._hints.last_seen(key)
        watched_since = self._look(key).since
        return Observed(agent, pods, room, states, memory, hints, last_seen, watched_since, failures)

    def _look(self, key: Key) -> Watch:
        now = self._clock()
        self._watches[key] = self._watches.get(key, Watch(now, now)).look(now, self._longest_gap)
        return self._watches[key]

    async def _pod_states(self, pods: tuple[AgentPod, ...]) -> dict[str, AgentPodState]:
        """Return the states by pod UID; there is more than one pod only during a recycle."""
        reachable = [pod for pod in pods if pod.live and pod.ip]
        answers = await asyncio.gather(*(self._pods.state(pod.ip, pod.uid) for pod in reachable))
        found = zip(reachable, answers, strict=True)
        return {pod.uid: answer for pod, answer in found if answer is not None}


def owned_pods(raw_pods: list[JsonObject], session: VoiceSession) -> tuple[AgentPod, ...]:
    """Return the pods that the operator created for the session, by `is_owned_by`."""
    return tuple(to_pod(raw) for raw in raw_pods if is_owned_by(raw, session))


def is_owned_by(raw: JsonObject, session: VoiceSession) -> bool:
    """Return True for a pod that the operator created for the session.

    Anybody may write labels, annotations and owner references into the pods of their own namespace, also with the UID
    of a session elsewhere. The namespace is the session's, so its pods are as trusted as the session. An own pod has
    the name that follows from session and ordinal, and an ordinal that the session allows.
    """
    meta = raw["metadata"]
    if meta["namespace"] != session.namespace or not _is_controlled_by(raw, session.uid):
        return False
    ordinal = _ordinal(meta)
    return ordinal <= highest_allowed_ordinal(session) and meta["name"] == pod_name(session.name, session.uid, ordinal)


def to_pod(raw: JsonObject) -> AgentPod:
    """Convert a v1 Pod, slimmed or complete."""
    meta, status = raw["metadata"], raw.get("status") or {}
    return AgentPod(
        name=meta["name"],
        uid=meta["uid"],
        ordinal=_ordinal(meta),
        phase=status.get("phase", "Pending"),
        ip=status.get("podIP", ""),
        deleting="deletionTimestamp" in meta,
        created_at=from_rfc3339(meta.get("creationTimestamp")) or 0.0,
        problem=_problem(status),
    )


def _ordinal(meta: JsonObject) -> int:
    """Return the pod's ordinal from its annotation, 0 if it is no number; Python refuses to parse a very long one."""
    text = meta.get("annotations", {}).get(constants.ORDINAL_ANNOTATION, "")
    return int(text) if text.isdecimal() and len(text) <= ORDINAL_DIGITS else 0


def _is_controlled_by(raw: JsonObject, uid: str) -> bool:
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
    reason, message = state.get("reason") or "Unknown", state.get("message", "")
    return f"{reason}: {message}" if message else str(reason)
