"""The assistant in livekit-agents' own session, with providers that fail."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import AgentSession, io, llm
from voicesession_agent.assistant.assistant import Assistant, People
from voicesession_agent.assistant.context_window import ContextWindow
from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.assistant.provider_watch import ENGLISH, ProviderWatch
from voicesession_agent.assistant.speaker_selection import Audience
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.health_monitor import DEFAULT_ERRORS, HealthMonitor
from voicesession_agent.memory.backend import digest
from voicesession_agent.protocol import JobFacts, Message
from voicesession_agent.settings import AgentSpec

from tests.support.fakes.faulty_providers import RATE, FaultyModel, FaultyVoice
from tests.support.fakes.room import FakeRoom

DEADLINE = 30.0
SHORT_SECONDS = 0.02
PROVIDER = "faulty_providers"


class Supervisor:
    """A supervisor for one job."""

    def __init__(self) -> None:
        self.reports: list[HealthReport] = []

    async def job_facts(self) -> JobFacts:
        return JobFacts(frozenset(), digest(()), ())

    async def send_heartbeat(self, report: HealthReport) -> None:
        self.reports.append(report)


class Loudspeaker(io.AudioOutput):
    """An output that plays everything at once."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self._seconds = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self.on_playback_started(created_at=0.0)
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        if self._seconds:
            self.on_playback_finished(playback_position=self._seconds, interrupted=interrupted)
        self._seconds = 0.0


class Conversation:
    """A typed conversation of the assistant with a model."""

    def __init__(self, wait_seconds: float, history: tuple[Message, ...] = ()) -> None:
        self.model = FaultyModel()
        self.voice = FaultyVoice()
        self.session: AgentSession[None] = AgentSession(
            llm=self.model,
            tts=self.voice,
        )
        self.session.output.audio = Loudspeaker()
        room, client = FakeRoom(), Supervisor()
        anything: Any = (room, client)
        self.monitor = HealthMonitor(anything[0], anything[1], self._can_join, lambda: self.session, lambda _: None)
        self.monitor.watch_speech(self.session)
        watch = ProviderWatch(self.monitor, ENGLISH, wait_seconds, SHORT_SECONDS)
        idle = IdleMonitor(lambda: None, 0.0)
        facts = JobFacts(frozenset(), digest(()), (), history=history)
        people = People(anything[0], Audience(anything[0], self.session, subscribe_seconds=0.0), lambda: "")
        window, spec = ContextWindow(lambda: self.model, lambda _: None), AgentSpec(instructions="Be brief.")
        self.assistant = Assistant(spec, anything[1], facts, idle, people, watch, window)
        self.heartbeats: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.heartbeats = asyncio.create_task(self.monitor.run())
        await self.session.start(self.assistant)
        await asyncio.sleep(0)

    async def close(self) -> None:
        if self.heartbeats is not None:
            self.heartbeats.cancel()
            await asyncio.gather(self.heartbeats, return_exceptions=True)
        await self.session.aclose()

    async def ask(self, text: str) -> str:
        """Return the answer to a typed text."""
        await asyncio.wait_for(self.session.generate_reply(user_input=text), DEADLINE)
        return (self.messages("assistant") or [""])[-1]

    def messages(self, role: str) -> list[str]:
        items = self.session.history.items
        return [i.text_content or "" for i in items if isinstance(i, llm.ChatMessage) and i.role == role]

    @staticmethod
    async def _can_join() -> bool:
        return True


@pytest.fixture
async def conversation(request: pytest.FixtureRequest) -> AsyncIterator[Conversation]:
    """Yield a conversation whose wait prompt is due at once if the test has the parameter."""
    made = Conversation(getattr(request, "param", DEADLINE))
    await made.start()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("429", "429 Too Many Requests"),
        ("500", "500 Internal Server Error"),
        ("empty", "empty answer"),
    ],
)
async def test_failing_model_is_heard_and_named_and_keeps_conversation(
    conversation: Conversation, fault: str, cause: str
) -> None:
    assert await conversation.ask("My favorite color is blue.") == "Fine."
    conversation.model.fault = fault
    assert [await conversation.ask("Hello?") for _ in range(5)] == [ENGLISH.apology] * 5
    report = conversation.monitor.report()
    assert report.failing == f"llm {PROVIDER}: {cause}, 5 turns"
    assert not report.broken
    conversation.model.fault = ""
    assert await conversation.ask("Are you there?") == "Fine."
    assert not conversation.monitor.report().failed
    sent = [i.text_content for i in conversation.model.contexts[-1].items if isinstance(i, llm.ChatMessage)]
    assert "My favorite color is blue." in sent


@pytest.mark.parametrize("conversation", [SHORT_SECONDS], indirect=True)
async def test_hanging_model_is_heard_and_named(conversation: Conversation) -> None:
    conversation.model.fault = "hang"
    assert [await conversation.ask("Hello?") for _ in range(3)] == [f"{ENGLISH.wait} {ENGLISH.apology}"] * 3
    assert conversation.monitor.report().failing == f"llm {PROVIDER}: no answer, 3 turns"


@pytest.mark.parametrize(("fault", "cause"), [("503", "503 Service Unavailable"), ("silent", "silent speech")])
async def test_failing_voice_is_named_and_keeps_conversation(
    conversation: Conversation, fault: str, cause: str
) -> None:
    conversation.voice.fault = fault
    for _ in range(5):
        await conversation.ask("Hello?")
    report = conversation.monitor.report()
    assert (report.failing, report.broken) == (f"tts {PROVIDER}: {cause}, 5 turns", False)
    conversation.voice.fault = ""
    await conversation.ask("Are you there?")
    assert not conversation.monitor.report().failed


async def test_default_number_of_failed_turns_is_known() -> None:
    assert AgentSession(llm=FaultyModel()).conn_options.max_unrecoverable_errors == DEFAULT_ERRORS


async def test_conversation_of_earlier_job_goes_on() -> None:
    history = (Message("user", "My favorite color is blue."), Message("assistant", "Nice."))
    conversation = Conversation(DEADLINE, history)
    await conversation.start()
    assert await conversation.ask("Which one is it?") == "Fine."
    await conversation.close()
    sent = [i for i in conversation.model.contexts[-1].items if isinstance(i, llm.ChatMessage)]
    texts = [item.text_content for item in sent if item.role != "system"]
    assert texts[:3] == ["My favorite color is blue.", "Nice.", "Which one is it?"]
