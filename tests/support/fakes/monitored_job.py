"""A job whose health is monitored, with simulated time, and the output of its room."""

import asyncio
from types import SimpleNamespace
from typing import Any

from livekit import rtc
from livekit.agents import APIStatusError, io
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.health_monitor import HealthMonitor

from tests.support.fakes.room import FakeAgentSession, FakeRoom

RATE = 16000
FRAME = 320
FRAME_OF_SOUND = rtc.AudioFrame(bytes(2 * FRAME), RATE, 1, FRAME)


class HoldingOutput(io.AudioOutput):
    """The output of a room that plays nothing by itself."""

    def __init__(self) -> None:
        super().__init__(label="room", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=RATE)
        self.calls: list[str] = []
        self.accepts = asyncio.Event()
        self.accepts.set()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await self.accepts.wait()
        await super().capture_frame(frame)
        self.calls.append("capture")

    def flush(self) -> None:
        super().flush()
        self.calls.append("flush")

    def clear_buffer(self) -> None:
        self.calls.append("clear")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")


class MonitorScene:
    """A job with two humans; its heartbeats are kept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.room, self.session = FakeRoom(), FakeAgentSession()
        self.reports: list[HealthReport] = []
        self.has_session = True
        self.prompting = False
        room: Any = self.room
        client: Any = self
        self.found: list[Any] = []
        find_session: Any = lambda: self.session if self.has_session else None  # noqa: E731 - typed as a fake
        self.can_join = True
        self.monitor = HealthMonitor(
            room, client, self.answer_can_join, find_session, self.found.append, lambda: self.now
        )
        self.room.join("alice")
        self.room.join("bob")

    async def answer_can_join(self) -> bool:
        return self.can_join

    async def send_heartbeat(self, report: HealthReport) -> None:
        self.reports.append(report)

    async def report_at(self, now: float) -> HealthReport:
        """Send heartbeats, one a second, until `now`; return the report of the last one."""
        report = await self.next_report()
        while self.now < now:
            self.now += 1.0
            report = await self.next_report()
        return report

    async def next_report(self) -> HealthReport:
        """Return the report of the next heartbeat."""
        running = asyncio.create_task(self.monitor.run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return self.reports[-1]

    async def say(self, start: float, seconds: float) -> None:
        """Let voice detection hear speech."""
        await self.report_at(start)
        self.session.emit("user_state_changed", new_state="speaking")
        await self.report_at(start + seconds)
        self.session.emit("user_state_changed", new_state="listening")

    def fail(self, kind: str, *, recoverable: bool = False, error: Exception | None = None) -> None:
        """Let a provider fail."""
        self.session.emit("error", error=provider_error(kind, recoverable=recoverable, error=error))

    def watch_playback(self) -> None:
        session: Any = self.session
        self.monitor.watch_playback(session)

    def watch_speech(self) -> None:
        session: Any = self.session
        self.monitor.watch_speech(session, lambda: self.prompting)


def provider_error(kind: str, *, recoverable: bool = False, error: Exception | None = None) -> Any:
    """Return an error as livekit-agents reports it."""
    cause = error or APIStatusError("words", status_code=429)
    return SimpleNamespace(type=kind, recoverable=recoverable, label=f"livekit.plugins.openai.{kind}.X", error=cause)
