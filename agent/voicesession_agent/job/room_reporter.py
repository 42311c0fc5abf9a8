"""Reports to the supervisor of room events and of the latency of answers; they do not depend on the entry point."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
from livekit import rtc

from voicesession_agent.job.humans import RecentSpeakers, is_call_ended, is_call_unanswered, is_human
from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.protocol import RESPONSE, Stage

DELIVERY_SECONDS: Final = 1.0
"""Time to deliver the remaining reports when the job ends."""
TRIES: Final = 30
PAUSE_SECONDS: Final = 0.5
"""With 2 s for each try: longer than Kubernetes keeps a supervisor that does not answer its liveness probe."""
VALIDATE_SECONDS: Final = 1.0
"""Time limit of LiveKit's answer; a heartbeat waits for it."""
VALIDATE_PATH: Final = "/rtc/validate"
"""LiveKit's check of a token (livekit-server 1.13.5, pkg/service/rtcservice.go): 200 if it could join its room now."""
OK: Final = 200
log = logging.getLogger(__name__)


class RoomReporter:
    """Reports the join, the humans, their activity and the end of the connection, in order.

    The callee of a SIP call is reported once they have answered.
    """

    def __init__(
        self,
        room: rtc.Room,
        client: SupervisorClient,
        delivery_seconds: float = DELIVERY_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._client = client
        self._delivery_seconds = delivery_seconds
        self._pause_seconds = pause_seconds
        self._connect = room.connect
        self._url = self._token = ""
        self._clock = clock
        self._speakers = RecentSpeakers()
        self._humans: list[str] = []
        self._reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send_reports())
        # rtc.Room emits no event for its first connection, and entry points connect it in several ways
        room.connect = self._connect_and_report  # type: ignore[method-assign]
        room.on("participant_connected", self._on_participant_connected)
        room.on("participant_disconnected", self._on_participant_disconnected)
        room.on("participant_attributes_changed", self._on_attributes_changed)
        room.on("participant_permissions_changed", lambda *_: self._report_humans())
        room.on("active_speakers_changed", self._on_active_speakers_changed)
        room.on("disconnected", self.report_disconnected)

    def report(self, kind: str, **facts: Any) -> None:
        """Queue a report."""
        self._reports.put_nowait({"kind": kind, **facts})

    def report_disconnected(self, reason: "rtc.DisconnectReason.ValueType | None" = None) -> None:
        """Queue the report that this job has left its room."""
        self.report("gone", reason=_reason(reason))

    def leave_speech_to_session(self) -> None:
        """Report no more speech: voice detection of the session does, and takes neither music nor noise for speech."""
        self._room.off("active_speakers_changed", self._on_active_speakers_changed)

    async def close(self) -> None:
        """Deliver the remaining reports and stop."""
        try:
            await asyncio.wait_for(self._reports.join(), self._delivery_seconds)
        except TimeoutError:
            log.warning("reports were not delivered", extra={"event": "reports_lost"})
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def can_join(self) -> bool:
        """Return whether LiveKit answers, has the room and accepts this job's token, so that another job could join."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=VALIDATE_SECONDS)) as session,
                session.get(_validate_url(self._url), headers={"Authorization": f"Bearer {self._token}"}) as answer,
            ):
                return answer.status == OK
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def _connect_and_report(self, url: str, token: str, *args: Any, **kwargs: Any) -> None:
        self._url, self._token = url, token
        try:
            await self._connect(url, token, *args, **kwargs)
        except rtc.ConnectError:
            self.report("trouble", text="cannot join the room")
            self.report("refused")
            raise
        self.report("joined", sid=self._room.local_participant.sid)
        self._report_humans()

    def _on_participant_connected(self, participant: rtc.RemoteParticipant) -> None:
        self._report_humans()
        if participant.identity in self._humans:
            self.report("active")

    def _on_attributes_changed(self, _: dict[str, str], participant: rtc.RemoteParticipant) -> None:
        was_human = participant.identity in self._humans
        self._report_humans()
        if participant.identity in self._humans and not was_human:
            self.report("active")

    def _on_participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity in self._humans:
            reason = _reason(participant.disconnect_reason)
            self._speakers.forget(participant.identity)
            self.report("left", identity=participant.identity, reason=reason, at=time.time())
        self._report_humans()

    def _on_active_speakers_changed(self, speakers: Sequence[rtc.Participant]) -> None:
        """Report the start of human speech; heartbeats report that the speech continues."""
        now = self._clock()
        speaking = [p.identity for p in speakers if p.identity in self._humans]
        if speaking and not self._speakers.recent(now):
            self.report("active")
        self._speakers.changed(speaking, now)

    def _report_humans(self) -> None:
        self._humans = [p.identity for p in self._room.remote_participants.values() if self._is_present(p)]
        self.report("humans", identities=self._humans)

    def _is_present(self, participant: rtc.RemoteParticipant) -> bool:
        """Return whether the participant counts as a human in the room; a rejected SIP call never does."""
        was_present = participant.identity in self._humans
        unanswered = is_call_unanswered(participant) or (is_call_ended(participant) and not was_present)
        return is_human(participant) and not unanswered

    async def _send_reports(self) -> None:
        while True:
            report = await self._reports.get()
            try:
                if not await self._deliver(report):
                    log.warning("a report was lost", extra={"event": "report_lost"})
            finally:
                self._reports.task_done()

    async def _deliver(self, report: dict[str, Any]) -> bool:
        """Send one report, with retries, before the next one; return whether the supervisor took it.

        The order matters: no later report replaces a lost `joined`. A refused report is not sent again.
        """
        for _ in range(TRIES):
            try:
                await self._client.report(**report)
            except aiohttp.ClientResponseError:
                return False
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(self._pause_seconds)
            else:
                return True
        return False


class LatencyReporter:
    """Reports livekit-agents' measurements of every message of a conversation, never its text."""

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report

    def watch(self, session: Any) -> None:
        """Report the messages of any AgentSession, built-in or a user's own."""
        session.on("conversation_item_added", self._on_item_added)

    def _on_item_added(self, event: Any) -> None:
        metrics = getattr(event.item, "metrics", None) or {}
        seconds, spoke_at = seconds_by_stage(metrics), None
        if getattr(event.item, "role", "") == "assistant":
            spoke_at = metrics.get("started_speaking_at")
        if seconds or spoke_at is not None:
            self._report("latency", seconds=seconds, spoke_at=spoke_at)


def seconds_by_stage(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each stage, and of RESPONSE, from livekit-agents' MetricsReport.

    The first three stages belong to a human's message, the others to the answer.
    """
    transcription, turn = metrics.get("transcription_delay"), metrics.get("end_of_turn_delay")
    measured = {
        Stage.TRANSCRIPTION: transcription,
        Stage.END_OF_TURN: None if turn is None else turn - (transcription or 0.0),
        Stage.HOOK: metrics.get("on_user_turn_completed_delay"),
        Stage.LLM: metrics.get("llm_node_ttft"),
        Stage.TTS: metrics.get("tts_node_ttfb"),
        RESPONSE: metrics.get("e2e_latency"),
    }
    return {str(name): max(float(value), 0.0) for name, value in measured.items() if value is not None}


def _validate_url(url: str) -> str:
    """Return the address of VALIDATE_PATH for LiveKit's URL, which is ws(s) or http(s)."""
    return re.sub("^ws", "http", url).rstrip("/") + VALIDATE_PATH


def _reason(number: "rtc.DisconnectReason.ValueType | None") -> str:
    """Return LiveKit's name of a disconnect reason; UNKNOWN_REASON for none, or for a number unknown to the library."""
    if number is None or number not in rtc.DisconnectReason.values():
        number = rtc.DisconnectReason.UNKNOWN_REASON
    return rtc.DisconnectReason.Name(number)
