"""Observation of one session: its room from LiveKit, its pods from the cache, and the pods' own states."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Final

from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.errors import ExternalError, NotFoundError, RetryableError

from voicesession_operator.clients.livekit import UNAVAILABLE
from voicesession_operator.controller.cache import Cache, Key
from voicesession_operator.controller.pod_watcher import owned_pods
from voicesession_operator.controller.ports import LiveKitRooms, PodStates, UserMemoryLookup
from voicesession_operator.controller.webhook_tracking import LeaveHints
from voicesession_operator.domain.memory import has_user_memory
from voicesession_operator.domain.naming import room_name, with_cluster
from voicesession_operator.domain.observed import (
    AgentPod,
    AgentPodState,
    Failure,
    ListedRoom,
    Observed,
    Participant,
    Room,
    RoomUnknown,
    Watch,
)
from voicesession_operator.domain.requeue import CACHED_SECONDS, RoomLook, RoomReport, is_look_due, room_reports

FAILURE_SECONDS: Final = 1.0
SLOW_SECONDS: Final = (0.25, 0.75)
"""Times in which a slow answer about participants makes the operator ask for the rooms.

LiveKit 1.13.5 needs 1 ms, and 3 s for a room that is gone, which its list of rooms may have for another 0.3 s.
"""
UNREADABLE_LIST_SECONDS: Final = 1.0
"""Age of the list of rooms that shows whether an unreadable room still exists."""
NO_PARTICIPANTS: Final = "LiveKit lists the room, but not its participants"
LIST_SHARE: Final = 0.8
"""Age of the list of rooms in poll intervals: a lone session renews it at each poll, in spite of the jitter."""
LONGEST_GAP_POLLS: Final = 3
"""Polls between two looks that count as watching; a longer gap is an outage or an overload of the operator."""


class RoomDirectory:
    """The rooms by one list for all sessions, and the participants of a room where they may have changed.

    `on_change` receives the name of a room that no longer agrees with the latest look. `clock` returns Unix seconds.
    The list is `list_seconds` old at most. A failure of the list counts for `failure_seconds`, so that a LiveKit that
    does not answer costs one timeout and not one of each session.
    """

    def __init__(
        self,
        client: LiveKitRooms,
        on_change: Callable[[str], None],
        clock: Callable[[], float],
        list_seconds: float,
        failure_seconds: float = FAILURE_SECONDS,
    ) -> None:
        self.client = client
        self.cluster = ""
        """Identity of the Kubernetes cluster, which marks created rooms; empty until it is known."""
        self._on_change = on_change
        self._clock = clock
        self._list_seconds = list_seconds
        self._failure_seconds = failure_seconds
        self._lock = asyncio.Lock()
        self._rooms: dict[str, ListedRoom] = {}
        self._listed_at = -inf
        self._failure = RoomUnknown("", "")
        self._failed_at = -inf
        self._own_changes: dict[str, tuple[float, ListedRoom | None]] = {}
        """Rooms that this process created (or deleted: None) since the list was requested, and when."""
        self._looks: dict[str, RoomLook] = {}
        self._unreadable: dict[str, float] = {}
        """Rooms without a list of participants, by the time of the first failure."""

    async def create_room(self, name: str, metadata: str, max_participants: int) -> None:
        """Create the room; an existing one is left unchanged. Raise RetryableError or TerminalError."""
        self._change(name, await self.client.create_room(name, self.marked(metadata), max_participants))

    def marked(self, metadata: str) -> str:
        """Return the metadata as the room has it, with the cluster of its owner."""
        return with_cluster(metadata, self.cluster)

    async def delete_room(self, name: str) -> None:
        """Delete the room; ignore a missing one. Raise RetryableError or TerminalError."""
        await self.client.delete_room(name)
        self._change(name, None)
        self.forget(name)

    async def rooms(self) -> dict[str, ListedRoom]:
        """Return all rooms, also foreign ones. Raise RetryableError if LiveKit does not answer."""
        unknown = await self._refresh(self._clock() - self._list_seconds)
        if unknown is not None:
            raise RetryableError(unknown.reason, unknown.message)
        return self._rooms

    async def find(self, name: str) -> Room | RoomUnknown | None:
        """Return the room without its participants, None if it does not exist."""
        unknown = await self._refresh(self._clock() - self._list_seconds)
        if unknown is not None:
            return unknown
        listed = self._rooms.get(name)
        return None if listed is None else Room(listed.sid)

    def is_look_due(self, name: str, events: int, reports: frozenset[RoomReport] | None = None) -> bool:
        """Return True if the room is not known to be as at the latest look; see `domain.requeue.is_look_due`."""
        listed, look = self._rooms.get(name), self._looks.get(name)
        return listed is None or is_look_due(look, listed, self._listed_at, events, reports, self._clock())

    async def observe(
        self, name: str, events: int, reports: frozenset[RoomReport] | None, fresh: bool
    ) -> tuple[Room | RoomUnknown | None, bool]:
        """Return the room and whether its participants are those of an earlier look, which `fresh` excludes.

        `events` and `reports` are all that is known of changes; `reports` is None if the pods have not answered yet.
        """
        unknown = await self._refresh(self._clock() - self._list_seconds)
        if unknown is not None:
            return unknown, False
        look = self._looks.get(name)
        if name not in self._rooms:
            self.forget(name)
            return None, False
        if look is not None and not fresh and not self.is_look_due(name, events, reports):
            return look.room, True
        return await self._look(name, events, reports), False

    def forget(self, name: str) -> None:
        """Forget the looks at a room."""
        self._looks.pop(name, None)
        self._unreadable.pop(name, None)

    async def _look(self, name: str, events: int, reports: frozenset[RoomReport] | None) -> Room | RoomUnknown | None:
        """List the participants. An answer without any, or an error, can mean that the room is gone."""
        now, before = self._clock(), self._looks.get(name)
        try:
            participants = await self._participants(name, now)
        except NotFoundError:
            return await self._unlisted(name, now, RoomUnknown(UNAVAILABLE, NO_PARTICIPANTS))
        except ExternalError as error:
            return await self._unlisted(name, now, RoomUnknown(error.reason, error.message))
        if not participants and before is not None and before.room.participants:
            unknown = await self._refresh(now)
            if unknown is not None:
                return unknown
        listed = self._rooms.get(name)
        if listed is None:
            return None
        if reports is None:
            reports = frozenset() if before is None else before.reports
        self._unreadable.pop(name, None)
        longest = random.uniform(*CACHED_SECONDS)  # noqa: S311 - spreads load, no security
        self._looks[name] = RoomLook(Room(listed.sid, participants), now, events, reports, longest)
        return self._looks[name].room

    async def _participants(self, name: str, started: float) -> tuple[Participant, ...]:
        """List the participants; if that is slow, ask for the rooms meanwhile. Raise NotFoundError for a lost room."""
        request = asyncio.ensure_future(self.client.list_participants(name))
        try:
            for seconds in () if name in self._unreadable else SLOW_SECONDS:
                done, _ = await asyncio.wait({request}, timeout=seconds)
                if done:
                    break
                since = max(started, self._clock() - SLOW_SECONDS[0])  # One list for all looks that are slow at once.
                if await self._refresh(since) is None and name not in self._rooms:
                    raise NotFoundError(UNAVAILABLE, NO_PARTICIPANTS)
            return await request
        finally:
            request.cancel()

    async def _unlisted(self, name: str, now: float, unknown: RoomUnknown) -> RoomUnknown | None:
        """Return None if the room is gone, according to a list that is newer than the failed look."""
        age = UNREADABLE_LIST_SECONDS if name in self._unreadable else 0.0
        failed = await self._refresh(self._clock() - age)
        if failed is not None:
            return failed
        if name not in self._rooms:
            return None
        return replace(unknown, unreadable_since=self._unreadable.setdefault(name, now))

    async def _refresh(self, since: float) -> RoomUnknown | None:
        """Have a list that was requested at `since` or later. Return the failure if LiveKit does not answer."""
        arrived = self._clock()
        async with self._lock:
            if self._listed_at >= since:
                return None
            if self._failed_at + self._failure_seconds > arrived:
                return self._failure
            now = self._clock()
            try:
                listed = await self.client.list_rooms()
            except ExternalError as error:
                self._failure, self._failed_at = RoomUnknown(error.reason, error.message), self._clock()
                return self._failure
            self._take(listed, now)
            return None

    def _take(self, listed: dict[str, ListedRoom], requested_at: float) -> None:
        own = {name: change for name, change in self._own_changes.items() if change[0] > requested_at}
        self._rooms, self._listed_at, self._own_changes = listed, requested_at, {}
        for name, (at, room) in own.items():
            self._change(name, room, at)
        for name, look in self._looks.items():
            room = self._rooms.get(name)
            # An old look is no news: the next poll of its session renews it.
            if room is None or (look.at <= requested_at and look.differs_from(room)):
                self._on_change(name)

    def _change(self, name: str, room: ListedRoom | None, at: float | None = None) -> None:
        self._own_changes[name] = (self._clock() if at is None else at, room)
        if room is None:
            self._rooms.pop(name, None)
        else:
            self._rooms[name] = room


class SessionObserver:
    """Collects the input of `plan()`. `clock` returns Unix seconds."""

    def __init__(
        self,
        cache: Cache,
        rooms: RoomDirectory,
        pods: PodStates,
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
        self,
        session: VoiceSession,
        agent: VoiceAgent | None,
        failures: tuple[Failure, ...] = (),
        *,
        fresh: bool = False,
    ) -> Observed:
        """Follow the pods and read their latest states, and the participants if they may have changed.

        `fresh` asks the pods and LiveKit now.
        """
        pods = owned_pods(self._cache.pods_of(session.namespace, session.uid), session)
        key = Key(session.namespace, session.name)
        (room, is_cached), states = await self._room_and_states(key, session, pods, fresh)
        if not is_cached:
            self._hints.on_observed(key, room, self._clock())
        own_memory = has_user_memory(session, agent)
        memory = self._memories.lookup(agent, session.user, key) if agent and own_memory else None
        hints, last_seen = self._hints.hints(key), self._hints.last_seen(key)
        watched_since = self.watch(key).since
        return Observed(agent, pods, room, states, memory, hints, last_seen, watched_since, failures, is_cached)

    async def _room_and_states(
        self, key: Key, session: VoiceSession, pods: tuple[AgentPod, ...], fresh: bool
    ) -> tuple[tuple[Room | RoomUnknown | None, bool], dict[str, AgentPodState]]:
        """Ask for the participants and the states at once if a look is due anyway; else the states decide."""
        name, events = room_name(session.uid), self._hints.events(key)
        if session.status.finished_at is not None or session.deleting:
            self._rooms.forget(name)
            self._pods.follow(key, ())
            return (await self._rooms.find(name), False), {}
        reachable = [pod for pod in pods if pod.live and pod.ip]
        self._pods.follow(key, reachable)
        if fresh or self._rooms.is_look_due(name, events):
            look = self._rooms.observe(name, events, None, fresh)
            return await asyncio.gather(look, self.pod_states(reachable, fresh=fresh))
        states = await self.pod_states(reachable, fresh=fresh)
        return await self._rooms.observe(name, events, room_reports(states), fresh), states

    def watch(self, key: Key) -> Watch:
        """Count a look at the session."""
        now = self._clock()
        self._watches[key] = self._watches.get(key, Watch(now, now)).look(now, self._longest_gap)
        return self._watches[key]

    async def pod_states(self, pods: list[AgentPod], *, fresh: bool = False) -> dict[str, AgentPodState]:
        """Return the states by pod UID; there is more than one pod only during a recycle."""
        answers = await asyncio.gather(*(self._pods.state(pod, fresh=fresh) for pod in pods))
        return {pod.uid: answer for pod, answer in zip(pods, answers, strict=True) if answer is not None}
