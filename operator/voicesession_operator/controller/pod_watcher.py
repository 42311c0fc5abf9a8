"""The agent pods of a session, and a long poll to each that has an address.

An answer is the pod's state, and a trigger for a reconcile, like a webhook. It reports participants that join or leave
within milliseconds where webhooks are lost or late.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import from_rfc3339, is_rfc3339
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.bounds import Rate, TokenBuckets
from voicesession_common.errors import RetryableError, TerminalError

from voicesession_operator.controller.cache import CONTAINER_STATUSES, Key
from voicesession_operator.controller.ports import AgentPods
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import AgentPod, AgentPodState
from voicesession_operator.domain.pods import highest_allowed_ordinal

log = logging.getLogger(__name__)

STARTING: Final = ("", "ContainerCreating", "PodInitializing")
"""Waiting reasons of a normal start."""
ORDINAL_DIGITS: Final = 9
RETRY_SECONDS: Final = 0.25
"""Pause after a poll that failed, at first; half of it is added to the time to Ready."""
RETRIES_PER_STEP: Final = 32
RETRY_STEPS: Final = 3
"""The pause doubles after every 32 failures, up to 2 s."""
FRESH_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.02
"""Pause between polls of one pod: changes of the same moment cause one reconcile.

A change during the pause is reported at the start of the next poll.
"""
POLL_RATE: Final = Rate(per_second=1.0, burst=20)
"""Limit of the polls of one pod, and so of the reconciles that it causes: a custom image may answer without a change.

A start or a reset has about five changes, and a join or a leave one. An honest pod holds a poll without a change.
"""


@dataclass
class _Poll:
    """The poll of one pod, and the latest answer."""

    task: asyncio.Task[None] | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the pod has answered, or has failed to."""
    is_watchable: bool = True
    waiting: int = 0
    """Number of reconciles that wait for the first answer."""
    state: AgentPodState | None = None
    """None while the pod does not answer."""
    at: float = 0.0


class PodWatcher:
    """Polls pods while `run` runs. `enqueue` receives the session of a pod that changed its state.

    `clock` returns seconds that no change of the time affects. A pod that does not answer occupies no reconcile but
    its first: `state` only reads what the polls delivered.
    """

    def __init__(
        self,
        pods: AgentPods,
        enqueue: Callable[[Key], None],
        retry_seconds: float = RETRY_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        rate: Rate = POLL_RATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pods = pods
        self._enqueue = enqueue
        self._retry_seconds = retry_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._buckets = TokenBuckets(rate)
        self._group: asyncio.TaskGroup | None = None
        self._followed: dict[Key, set[str]] = {}
        self._polls: dict[str, _Poll] = {}

    async def run(self) -> None:
        """Own the polls until canceled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None:
        """Poll exactly these pods of the session from now on."""
        desired = {pod.uid: pod for pod in pods}
        known = self._followed.pop(key, set())
        for uid in known - desired.keys():
            poll = self._polls.pop(uid)
            if poll.task is not None:
                poll.task.cancel()
        if self._group is None:
            return
        for uid in desired.keys() - known:
            poll = self._polls[uid] = _Poll()
            poll.task = self._group.create_task(self._poll(key, desired[uid], poll))
        if desired:
            self._followed[key] = set(desired)

    async def state(self, pod: AgentPod, *, fresh: bool = False) -> AgentPodState | None:
        """Return the pod's latest state; None if it does not answer.

        The pod is asked now if it is not watched, or if `fresh` is set and the state is older than FRESH_SECONDS.
        """
        poll = self._polls.get(pod.uid)
        if poll is None or not poll.is_watchable:
            return await self._pods.state(pod.ip, pod.uid)
        await self._first_answer(poll)
        if fresh and poll.state is not None and self._clock() - poll.at >= FRESH_SECONDS:
            self._take(poll, await self._pods.state(pod.ip, pod.uid))
        return poll.state

    async def _first_answer(self, poll: _Poll) -> None:
        poll.waiting += 1
        try:
            await poll.asked.wait()
        finally:
            poll.waiting -= 1

    async def conversation(self, ip: str, pod_uid: str) -> JsonObject | None:
        """Return the conversation of a pod for its replacement; None if the pod reports none."""
        return await self._pods.conversation(ip, pod_uid)

    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> None:
        """Send the desired state, and keep the state that the pod answers. Raise RetryableError or TerminalError."""
        answer, poll = await self._pods.put_state(ip, pod_uid, desired), self._polls.get(pod_uid)
        if answer is not None and poll is not None:
            self._take(poll, answer)

    def _take(self, poll: _Poll, state: AgentPodState | None) -> None:
        poll.state, poll.at = state, self._clock()
        poll.asked.set()

    async def _poll(self, key: Key, pod: AgentPod, poll: _Poll) -> None:
        """Poll one pod until its answer shows that it cannot be watched; each reconcile then asks it."""
        try:
            await self._poll_forever(key, pod, poll)
        except TerminalError as error:
            log.info("an agent pod is no longer watched", extra={"pod": pod.name, "reason": error.reason})
        except Exception:
            # One pod must not end the polls of all others.
            log.exception("an agent pod is no longer watched", extra={"pod": pod.name})
        finally:
            poll.is_watchable = False
            poll.asked.set()

    async def _poll_forever(self, key: Key, pod: AgentPod, poll: _Poll) -> None:
        known, failures = "", 0
        while True:
            if poll.state is not None or not failures:
                await self._take_token(pod)
            try:
                tag, state = await self._pods.wait_for_change(pod.ip, pod.uid, known)
            except RetryableError:
                await self._on_failure(key, pod, poll)
                await asyncio.sleep(self._retry_seconds * 2 ** min(failures // RETRIES_PER_STEP, RETRY_STEPS))
                known, failures = "" if poll.state is None else known, failures + 1
                continue
            # The reconciles that wait for this answer need no other one.
            is_awaited = poll.waiting > 0 and not poll.asked.is_set()
            self._take(poll, poll.state if state is None else state)
            if tag != known and not is_awaited:
                self._enqueue(key)
            known, failures = tag, 0
            await asyncio.sleep(self._pause_seconds)

    async def _on_failure(self, key: Key, pod: AgentPod, poll: _Poll) -> None:
        """Ask a pod that answered before once more: a connection may end without any fault of the pod."""
        if poll.state is None:
            poll.asked.set()
            return
        self._take(poll, await self._pods.state(pod.ip, pod.uid))
        if poll.state is None:
            await self._take_token(pod)
            self._enqueue(key)

    async def _take_token(self, pod: AgentPod) -> None:
        wait = self._buckets.take(pod.uid, self._clock())
        while wait:
            await asyncio.sleep(wait)
            wait = self._buckets.take(pod.uid, self._clock())


def owned_pods(raw_pods: list[JsonObject], session: VoiceSession) -> tuple[AgentPod, ...]:
    """Return the pods that the operator created for the session, by `is_owned_by`."""
    return tuple(to_pod(raw) for raw in raw_pods if is_owned_by(raw, session))


def is_owned_by(raw: JsonObject, session: VoiceSession) -> bool:
    """Return True for a pod that the operator created for the session.

    Anybody may write labels, annotations and owner references into the pods of their own namespace, also with the UID
    of a session elsewhere. The namespace is the session's, so its pods are as trusted as the session. An own pod has
    an ordinal that the session allows, and the name that follows from session and ordinal, unless a pool created it.
    """
    meta = raw["metadata"]
    if meta["namespace"] != session.namespace or not _is_controlled_by(raw, session.uid):
        return False
    ordinal, is_claimed = _ordinal(meta), constants.POOL_LABEL in meta.get("labels", {})
    is_named = is_claimed or meta["name"] == pod_name(session.name, session.uid, ordinal)
    return ordinal <= highest_allowed_ordinal(session) and is_named


def to_pod(raw: JsonObject) -> AgentPod:
    """Convert a v1 Pod, slimmed or complete.

    Containers that others inject beside the agent's, such as a service mesh's, may run after the agent's has ended.
    """
    meta, status = raw["metadata"], raw.get("status") or {}
    return AgentPod(
        name=meta["name"],
        uid=meta["uid"],
        ordinal=_ordinal(meta),
        phase="Failed" if "terminated" in _agent_state(status) else status.get("phase", "Pending"),
        ip=status.get("podIP", ""),
        deleting="deletionTimestamp" in meta,
        created_at=_available_since(meta),
        problem=_problem(status),
    )


def _available_since(meta: JsonObject) -> float:
    """Return the time from which the session has had the pod: of its claim from a pool, or else of its creation."""
    written = str((meta.get("annotations") or {}).get(constants.CLAIMED_AT_ANNOTATION, ""))
    claimed_at = from_rfc3339(written) if is_rfc3339(written) else None
    return claimed_at or from_rfc3339(meta.get("creationTimestamp")) or 0.0


def _ordinal(meta: JsonObject) -> int:
    """Return the pod's ordinal from its annotation, 0 if it is no number; Python refuses to parse a very long one."""
    text = meta.get("annotations", {}).get(constants.ORDINAL_ANNOTATION, "")
    return int(text) if text.isdecimal() and len(text) <= ORDINAL_DIGITS else 0


def _is_controlled_by(raw: JsonObject, uid: str) -> bool:
    owners = raw["metadata"].get("ownerReferences", ())
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def _agent_state(status: JsonObject) -> JsonObject:
    """Return the state of the agent's container; empty before its first state."""
    named = (c for c in status.get("containerStatuses", ()) if c.get("name") == constants.AGENT_CONTAINER)
    return next((container.get("state") or {} for container in named), {})


def _problem(status: JsonObject) -> str:
    state = _agent_state(status)
    waiting, terminated = state.get("waiting") or {}, state.get("terminated")
    if waiting.get("reason", "") not in STARTING:
        return _text(waiting)
    if terminated:
        return f"{terminated.get('reason', 'Terminated')}: exit code {terminated.get('exitCode')}"
    if status.get("reason"):
        return _text(status)
    return _unschedulable(status) or ("" if "running" in state else _blocking_container(status))


def _blocking_container(status: JsonObject) -> str:
    """Return the problem of another container that cannot start and so holds up the agent's; empty if there is none."""
    for container in (c for kind in CONTAINER_STATUSES for c in status.get(kind, ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in STARTING:
            return f"container {container.get('name')}: {_text(waiting)}"
    return ""


def _unschedulable(status: JsonObject) -> str:
    conditions = status.get("conditions", ())
    blocked = (c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False")
    return next((_text(condition) for condition in blocked), "")


def _text(state: JsonObject) -> str:
    reason, message = state.get("reason") or "Unknown", state.get("message", "")
    return f"{reason}: {message}" if message else str(reason)
