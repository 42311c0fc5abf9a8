"""A job's presence in its room as the supervisor needs to know it, whatever the entry point does."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp
from livekit import rtc

from voicesession_agent.link import JobLink
from voicesession_agent.people import is_human

LINGER_SECONDS: Final = 10.0
"""What an agent's own shutdown callbacks get; closing a session in mid-speech can take a minute."""
LEAVE_SECONDS: Final = 1.0
"""LiveKit takes a leave within 40 ms, but the client's own wait for it sometimes never returns."""
log = logging.getLogger(__name__)


class Presence:
    """Reports join, humans and the end of the room in order, and takes the job out of the room when told to."""

    def __init__(self, room: rtc.Room, link: JobLink, launch: int, shutdown: Callable[[str], None]) -> None:
        self._room = room
        self._link = link
        self._launch = launch
        self._shutdown = shutdown
        self._last: threading.Timer | None = None
        self._connect = room.connect
        self._reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[Any]] = []
        self._entry: asyncio.Task[None] | None = None
        # rtc.Room tells nobody of its first connection, and an entry point may connect it in more than one way
        room.connect = self._connected  # type: ignore[method-assign]
        room.on("participant_connected", self._somebody_came)
        room.on("participant_disconnected", self._somebody_left)
        room.on("participant_attributes_changed", lambda *_: self._humans())
        room.on("disconnected", self._disconnected)

    async def during(self, entry: Coroutine[Any, Any, None]) -> None:
        """Run the entry point beside the reports; raise what it raises, except when an order to leave cancelled it."""
        self._entry = asyncio.create_task(entry)
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._obey())]
        await asyncio.wait((self._entry,))
        if self._entry.cancelled():
            return
        error = self._entry.exception()
        if error is not None:
            if not isinstance(error, rtc.ConnectError):
                self._report("trouble", text=f"the agent's entry point failed: {type(error).__name__}")
            raise error

    async def close(self) -> None:
        """Deliver what is still to be reported, then part from the supervisor."""
        self._tasks[1].cancel()
        try:
            await asyncio.wait_for(self._reports.join(), 1)
        except TimeoutError:
            log.warning("reports were not delivered", extra={"event": "reports_lost"})
        self._tasks[0].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._link.close()

    async def _connected(self, *args: Any, **kwargs: Any) -> None:
        try:
            await self._connect(*args, **kwargs)
        except rtc.ConnectError:
            self._report("trouble", text="cannot join the room")
            self._report("refused")
            raise
        self._report("joined", sid=self._room.local_participant.sid)
        self._humans()

    def _somebody_came(self, _: rtc.RemoteParticipant) -> None:
        self._humans()

    def _somebody_left(self, participant: rtc.RemoteParticipant) -> None:
        if is_human(participant):
            reason = _reason(participant.disconnect_reason)
            self._report("left", identity=participant.identity, reason=reason, at=time.time())
        self._humans()

    def _disconnected(self, reason: Any = None) -> None:
        self._report("gone", reason=_reason(reason))
        self._end_within(LINGER_SECONDS)

    def _humans(self) -> None:
        present = [p.identity for p in self._room.remote_participants.values() if is_human(p)]
        self._report("humans", identities=present)

    def _report(self, kind: str, **facts: Any) -> None:
        self._reports.put_nowait({"kind": kind, "launch": self._launch, **facts})

    async def _send(self) -> None:
        while True:
            report = await self._reports.get()
            try:
                await self._link.report(**report)
            except (aiohttp.ClientError, TimeoutError):
                log.warning("a report was lost", extra={"event": "report_lost"})
            finally:
                self._reports.task_done()

    async def _obey(self) -> None:
        """Leave when told to, or when the supervisor is gone: nobody would look after this job any more."""
        try:
            await self._link.leave_wanted()
        except aiohttp.ClientError:
            log.warning("the supervisor is gone", extra={"event": "orphaned"})
        self._end_within(LINGER_SECONDS)
        try:
            await asyncio.wait_for(self._room.disconnect(), LEAVE_SECONDS)
        except TimeoutError:
            self._disconnected(rtc.DisconnectReason.CLIENT_INITIATED)
        self._shutdown("told to leave")
        if self._entry is not None:
            self._entry.cancel()

    def _end_within(self, seconds: float) -> None:
        """End this process then, whatever it is stuck in; a thread, because the event loop may be what is stuck."""
        if self._last is None:
            self._last = threading.Timer(seconds, os._exit, (0,))
            self._last.daemon = True
            self._last.start()


def _reason(number: "rtc.DisconnectReason.ValueType | None") -> str:
    """LiveKit's name of a disconnect reason; UNKNOWN_REASON where it gives none, or one that this version has not."""
    if number is None or number not in rtc.DisconnectReason.values():
        number = rtc.DisconnectReason.UNKNOWN_REASON
    return rtc.DisconnectReason.Name(number)
