"""A job's presence in its room as the supervisor needs to know it, whatever the entry point does."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from livekit import rtc

from voicesession_agent.job.humans import is_human
from voicesession_agent.job.supervisor_client import SupervisorClient

DELIVERY_SECONDS: Final = 1.0
"""For what is left at the job's end."""
TRIES: Final = 30
PAUSE_SECONDS: Final = 0.5
"""With 2 s for each try: longer than Kubernetes lets a supervisor live that does not answer."""
log = logging.getLogger(__name__)


class RoomReporter:
    """Reports join, humans, their activity and the end of the room, in order."""

    def __init__(self, room: rtc.Room, link: SupervisorClient) -> None:
        self._room = room
        self._link = link
        self._connect = room.connect
        self._speaking = False
        self._reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send())
        # rtc.Room tells nobody of its first connection, and an entry point may connect it in more than one way
        room.connect = self._connected  # type: ignore[method-assign]
        room.on("participant_connected", self._somebody_came)
        room.on("participant_disconnected", self._somebody_left)
        room.on("participant_attributes_changed", lambda *_: self._humans())
        room.on("active_speakers_changed", self._speakers)
        room.on("disconnected", self.disconnected)

    def report(self, kind: str, **facts: Any) -> None:
        self._reports.put_nowait({"kind": kind, **facts})

    def disconnected(self, reason: "rtc.DisconnectReason.ValueType | None" = None) -> None:
        self.report("gone", reason=_reason(reason))

    async def close(self) -> None:
        """Deliver what is still to be reported."""
        try:
            await asyncio.wait_for(self._reports.join(), DELIVERY_SECONDS)
        except TimeoutError:
            log.warning("reports were not delivered", extra={"event": "reports_lost"})
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def _connected(self, *args: Any, **kwargs: Any) -> None:
        try:
            await self._connect(*args, **kwargs)
        except rtc.ConnectError:
            self.report("trouble", text="cannot join the room")
            self.report("refused")
            raise
        self.report("joined", sid=self._room.local_participant.sid)
        self._humans()

    def _somebody_came(self, participant: rtc.RemoteParticipant) -> None:
        self._humans()
        if is_human(participant):
            self.report("active")

    def _somebody_left(self, participant: rtc.RemoteParticipant) -> None:
        if is_human(participant):
            reason = _reason(participant.disconnect_reason)
            self._speaking = False
            self.report("left", identity=participant.identity, reason=reason, at=time.time())
        self._humans()

    def _speakers(self, speakers: Sequence[rtc.Participant]) -> None:
        """Beats tell that she is still speaking; this tells when she begins."""
        speaking = any(isinstance(p, rtc.RemoteParticipant) and is_human(p) for p in speakers)
        if speaking and not self._speaking:
            self.report("active")
        self._speaking = speaking

    def _humans(self) -> None:
        present = [p.identity for p in self._room.remote_participants.values() if is_human(p)]
        self.report("humans", identities=present)

    async def _send(self) -> None:
        while True:
            report = await self._reports.get()
            try:
                if not await self._delivered(report):
                    log.warning("a report was lost", extra={"event": "report_lost"})
            finally:
                self._reports.task_done()

    async def _delivered(self, report: dict[str, Any]) -> bool:
        """A `joined` that is lost is never made up for, so none overtakes it; what is refused is refused for good."""
        for _ in range(TRIES):
            try:
                await self._link.report(**report)
            except aiohttp.ClientResponseError:
                return False
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return True
        return False


def _reason(number: "rtc.DisconnectReason.ValueType | None") -> str:
    """LiveKit's name of a disconnect reason; UNKNOWN_REASON where it gives none, or one that this version has not."""
    if number is None or number not in rtc.DisconnectReason.values():
        number = rtc.DisconnectReason.UNKNOWN_REASON
    return rtc.DisconnectReason.Name(number)
