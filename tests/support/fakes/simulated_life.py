"""A simulation of one session over time: LiveKit's late list of rooms, webhooks, and reports of the agent pod."""

from collections.abc import Callable
from dataclasses import replace

from voicesession_operator.clients.livekit import PARTICIPANT_JOINED, RoomEvent
from voicesession_operator.controller.webhook_tracking import WebhookHandler
from voicesession_operator.domain.observed import LeaveHint, LeaveReason, ListedRoom, Participant

from tests.support.builders import CONFIG, ROOM, agent_participant, bound, human
from tests.support.fakes.livekit_rooms import FakeRooms
from tests.support.fakes.reconciler_world import ReconcilerWorld

LIST_SECONDS = 0.8 * CONFIG.poll_seconds
ROOM_UPDATE_SECONDS = 5.0
"""LiveKit 1.13.5 renews the number of participants in its list of rooms at most this often."""


class LateRooms(FakeRooms):
    """Rooms with a number of participants that is up to ROOM_UPDATE_SECONDS old in the list."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}

    def _listed(self, name: str) -> ListedRoom:
        listed, now = super()._listed(name), self._clock()
        at, count = self._counts.get(name, (now, 0))
        if now - at >= ROOM_UPDATE_SECONDS or name not in self._counts:
            self._counts[name] = at, count = now, listed.num_participants
        return replace(listed, num_participants=count)


class SimulatedLife:
    """A session with a reconcile at the times of its plans, and at once after a sign of a change.

    `webhooks` and `reports` say whether LiveKit's events and the pod's reports about humans arrive.
    """

    def __init__(self, *, webhooks: bool = True, reports: bool = True) -> None:
        self.world = ReconcilerWorld(list_seconds=LIST_SECONDS)
        self.world.rooms = LateRooms(lambda: self.world.now)
        self.world.replace_reconciler()
        self._webhooks, self._reports, self._next = webhooks, reports, self.world.now
        self._handler = WebhookHandler(
            self.world.cache, self.world.leave_hints, self.world.lost_webhooks, lambda _: self._wake()
        )
        self.reconciles = 0

    @property
    def calls(self) -> int:
        """Return the number of LiveKit calls, without the list that all sessions share."""
        return self.world.rooms.calls.total() - self.world.rooms.calls["ListRooms"]

    @property
    def status(self) -> dict[str, object]:
        found: dict[str, object] = self.world.session()["status"]
        return found

    async def run(self, seconds: float) -> None:
        """Reconcile until that time has passed."""
        end = self.world.now + seconds
        while self._next <= end:
            self.world.now = max(self.world.now, self._next)
            self.world.changed_rooms.clear()
            wait = await self.world.reconcile()
            self.reconciles += 1
            if self.world.changed_rooms:
                wait = 0.001
            self._next = self.world.now + (wait if wait is not None else 10 * seconds)
        self.world.now = end

    async def start(self) -> None:
        """Start the pod and let its agent join after 3 s."""
        await self.run(1)
        self.world.change_pod(phase="Running", podIP="10.0.0.1")
        self._wake()
        await self.run(2)
        participant = agent_participant()
        self.world.rooms.rooms[ROOM].append(participant)
        self._event(PARTICIPANT_JOINED, participant.sid)
        await self.run(0.01)
        self._report(participant_sid=participant.sid)
        self._wake()
        await self.run(0.01)

    async def join(self, found: Participant | None = None) -> None:
        """Let a human join; the agent sees it a moment after the webhook."""
        found = found or human()
        self.world.rooms.rooms[ROOM].append(found)
        self._event(PARTICIPANT_JOINED, found.sid)
        await self.run(0.02)
        await self._report_humans()

    async def leave(self, reason: LeaveReason = LeaveReason.LEFT) -> None:
        """Let the human that came last leave."""
        found = self.world.rooms.rooms[ROOM].pop()
        hint = LeaveHint(found.sid, reason, self.world.now, float(int(self.world.now)))
        self._event("participant_left", found.sid, hint)
        await self.run(0.02)
        await self._report_humans(found)

    def join_unseen(self, found: Participant) -> None:
        """Let a human join without any sign but LiveKit's own lists."""
        self.world.rooms.rooms[ROOM].append(found)

    def _wake(self) -> None:
        self._next = self.world.now

    def _event(self, name: str, sid: str, leave: LeaveHint | None = None) -> None:
        if self._webhooks:
            self._handler.handle(RoomEvent(ROOM, name, sid, leave))

    async def _report_humans(self, left: Participant | None = None) -> None:
        if not self._reports:
            return
        names = tuple(p.identity for p in self.world.rooms.rooms[ROOM] if p.identity != agent_participant().identity)
        self._report(humans=names)
        if left is not None:
            self._report(left_identity=left.identity, left_reason="CLIENT_INITIATED", left_at=self.world.now)
        self._wake()
        await self.run(0.02)

    def _report(self, **values: object) -> None:
        uid = self.world.pod()["metadata"]["uid"]
        state = self.world.pods.states.get(uid, bound())
        self.world.pods.states[uid] = replace(state, **values)  # type: ignore[arg-type]
