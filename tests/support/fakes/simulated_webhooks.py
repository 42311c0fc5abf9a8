"""A simulation of LiveKit's webhooks about leaves, which may be late, and of the operator's record of them."""

from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.webhook_tracking import LeaveHints
from voicesession_operator.domain.observed import LastSeen, LeaveHint, LeaveReason, Room, RoomUnknown

KEY = Key("default", "hello")


class SimulatedWebhooks:
    """Webhooks of one session; `late` keeps them until `deliver`."""

    def __init__(self) -> None:
        self.late = False
        self._hints = LeaveHints()
        self._waiting: list[tuple[str, LeaveReason, float]] = []

    @property
    def hints(self) -> tuple[LeaveHint, ...]:
        return self._hints.hints(KEY)

    @property
    def last_seen(self) -> LastSeen | None:
        return self._hints.last_seen(KEY)

    def send(self, sid: str, reason: LeaveReason, now: float) -> None:
        """Report a leave."""
        self._waiting.append((sid, reason, now))
        if not self.late:
            self.deliver(now)

    def deliver(self, now: float) -> None:
        """Deliver all webhooks that are still on their way."""
        for sid, reason, left_at in self._waiting:
            self._hints.record(KEY, LeaveHint(sid, reason, now, float(int(left_at))))
        self._waiting.clear()

    def on_observed(self, room: Room | RoomUnknown | None, now: float) -> None:
        """Record the operator's look at the room."""
        self._hints.on_observed(KEY, room, now)

    def restart_operator(self) -> None:
        """Lose all knowledge that the operator does not store."""
        self._hints.forget(KEY)
