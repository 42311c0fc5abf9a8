"""The built-in assistant: it hears, thinks and speaks through the VoiceAgent's providers, and has a memory."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    ConversationItemAddedEvent,
    JobContext,
    JobProcess,
    StopResponse,
    inference,
    llm,
    room_io,
)

from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.assistant.memory_context import remember_tool, render
from voicesession_agent.assistant.speaker_selection import NOBODY, Audience, Greeter, SpeakerSelector
from voicesession_agent.assistant.text_input import TextInput, attribute
from voicesession_agent.assistant.turn_recorder import EchoDetector, TurnRecorder
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.livekit_internals import replace_instructions
from voicesession_agent.protocol import JobFacts
from voicesession_agent.settings import AgentSpec
from voicesession_agent.speech import providers

if TYPE_CHECKING:
    from voicesession_agent.job.main import JobServices  # which imports this module

MIN_SILENCE_SECONDS: Final = 0.25
MIN_ENDPOINTING_SECONDS: Final = 0.3
MAX_ENDPOINTING_SECONDS: Final = 1.2
CLOSE_WAIT_SECONDS: Final = 0.1
"""Wait for a last transcript on close; livekit-agents' default of 2 s would delay every restart by 2 s."""
START_SECONDS: Final = 30.0
"""Time limit of the session's start, which takes less than 1 s; a session that never starts hears nothing."""
MODELS: Final = "voicesession.models"
ROOM_OPTIONS: Final = room_io.RoomOptions(close_on_disconnect=False, participant_identity=NOBODY, text_input=False)
"""Only SpeakerSelector links participants: RoomIO would link the first one, also an observer. TextInput takes the text
of every human: RoomIO would take that of the linked one."""
ANSWER_TEXT: Final = room_io.TextInputOptions().text_input_cb
"""livekit-agents' own answer to typed text: interrupt the agent, then generate the reply."""
log = logging.getLogger(__name__)


def prewarm(proc: JobProcess, spec: AgentSpec) -> None:
    """Load every model. Raise ValueError for a provider that is not installed."""
    models = {
        "stt": providers.make_stt(spec.stt),
        "llm": providers.make_llm(spec.llm),
        "tts": providers.make_tts(spec.tts),
        "vad": inference.VAD(model="silero", min_silence_duration=MIN_SILENCE_SECONDS),
    }
    proc.userdata[MODELS] = models


def make_session(models: dict[str, Any], spec: AgentSpec) -> "AgentSession[None]":
    """Create a session with local processing only: no setting may fall back to LiveKit's cloud."""
    detector: Any = inference.TurnDetector(version="v1-mini") if spec.turn_detection == "v1-mini" else "vad"
    return AgentSession(
        **models,
        session_close_transcript_timeout=CLOSE_WAIT_SECONDS,
        turn_handling={
            "turn_detection": detector,
            "interruption": {"mode": "vad"},
            "preemptive_generation": {"enabled": False},
            "endpointing": {"min_delay": MIN_ENDPOINTING_SECONDS, "max_delay": MAX_ENDPOINTING_SECONDS},
        },
    )


async def run(
    ctx: JobContext,
    services: "JobServices",
    spec: AgentSpec,
    new_session: Callable[[dict[str, Any], AgentSpec], "AgentSession[None]"] = make_session,
    start_seconds: float = START_SECONDS,
) -> None:
    """Join the room and talk to one human at a time until the room ends.

    Raise TimeoutError if the session does not start in time.
    """
    facts, _ = await asyncio.gather(services.supervisor.job_facts(), ctx.connect())
    session = new_session(ctx.proc.userdata[MODELS], spec)
    turns = TurnRecorder(services.supervisor, lambda: services.reporter.report("turn_lost"))
    session.on("conversation_item_added", lambda event: _record_message(turns, event))
    services.shutdown.after_session_closed(turns.close)
    audience = Audience(ctx.room, session)
    idle = IdleMonitor(
        lambda: audience.say(spec.idle_prompt, selector.linked), facts.idle_seconds if spec.idle_prompt else 0.0
    )
    greeter = Greeter(audience.say, services.reporter, spec.greeting, set(facts.greeted))
    selector = SpeakerSelector(ctx.room, session, greeter, idle.set_human_present)
    people = People(ctx.room, audience, lambda: selector.linked)
    assistant = Assistant(spec, services.supervisor, facts, idle, people)
    text_input = TextInput(ctx.room, assistant.answer_text)
    services.health.watch_speech(session, lambda: idle.has_prompted)
    async with asyncio.timeout(start_seconds):
        await session.start(
            assistant,
            room=ctx.room,
            room_options=ROOM_OPTIONS,
        )
    for step in (text_input.close, idle.close, selector.close, audience.close):
        services.shutdown.before_session_closes(step)
    session.on("user_state_changed", lambda event: _report_activity(services.reporter, event.new_state))
    idle.watch(session)
    selector.start()
    text_input.start()


@dataclass(frozen=True)
class People:
    """The humans of the room as the assistant's turns need them; `speaker` returns the identity of the linked one."""

    room: rtc.Room
    audience: Audience
    speaker: Callable[[], str]

    def attribute_speech(self, text: str) -> str:
        """Return the spoken text with the speaker's name in front if there is more than one human."""
        participant = self.room.remote_participants.get(self.speaker())
        return text if participant is None else attribute(self.room, participant, text)


class Assistant(Agent):
    """Instructions plus memory, with fresh blocks before each answer.

    The blocks come from the supervisor's cache and never from memory itself, so that memory delays no answer.
    """

    def __init__(
        self, spec: AgentSpec, client: SupervisorClient, facts: JobFacts, idle: IdleMonitor, people: People
    ) -> None:
        super().__init__(
            instructions=render(spec.instructions, facts.blocks),
            tools=[remember_tool(client)] if facts.remembers else [],
        )
        self._spec = spec
        self._client = client
        self._facts = facts
        self._idle = idle
        self._people = people
        self._echoes = EchoDetector()

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        """Apply changed memory blocks, tools and limits before the answer is generated, and name the speaker.

        Raise StopResponse for an echo of the agent's own words, and nothing else: livekit-agents does not answer a turn
        whose hook fails.
        """
        if self._echoes.is_loop(new_message.text_content or "", *_last_speech(turn_ctx)):
            log.warning("the agent hears its own words", extra={"event": "echo"})
            raise StopResponse
        if text := new_message.text_content:
            new_message.content = [self._people.attribute_speech(text)]
        await self._refresh(turn_ctx)
        await self._people.audience.wait(self._people.speaker())

    async def answer_text(self, participant: rtc.RemoteParticipant, text: str) -> None:
        """Answer typed text: livekit-agents calls no hook for it."""
        await self._refresh(None)
        await self._people.audience.wait(participant.identity)
        named = attribute(self._people.room, participant, text)
        answered = ANSWER_TEXT(self.session, room_io.TextInputEvent(text=named, participant=participant))
        if answered is not None:
            await answered

    async def _refresh(self, turn_ctx: llm.ChatContext | None) -> None:
        try:
            await self._apply_facts(await self._client.job_facts(), turn_ctx)
        except (aiohttp.ClientError, TimeoutError):
            log.warning("the supervisor does not answer", extra={"event": "stale_memory"})
        except Exception:
            log.exception("the supervisor's answer cannot be used", extra={"event": "stale_memory"})

    async def _apply_facts(self, facts: JobFacts, turn_ctx: llm.ChatContext | None) -> None:
        before = self._facts
        if self._spec.idle_prompt:
            self._idle.set_seconds(facts.idle_seconds)
        if facts.remembers != before.remembers:
            await self.update_tools([remember_tool(self._client)] if facts.remembers else [])
        if facts.memory_hash != before.memory_hash:
            text = render(self._spec.instructions, facts.blocks)
            await self.update_instructions(text)
            if turn_ctx is not None:
                replace_instructions(turn_ctx, text)
        self._facts = facts


def _last_speech(context: llm.ChatContext) -> tuple[str, float]:
    """Return the agent's last message and the seconds since it began."""
    messages = (m for m in reversed(context.items) if isinstance(m, llm.ChatMessage) and m.role == "assistant")
    last = next(messages, None)
    return ("", 0.0) if last is None else (last.text_content or "", time.time() - last.created_at)


def _report_activity(reporter: RoomReporter, state: str) -> None:
    """Report speech found by voice detection; LiveKit lists the human among the active speakers slightly later."""
    if state == "speaking":
        reporter.report("active")


def _record_message(turns: TurnRecorder, event: ConversationItemAddedEvent) -> None:
    if isinstance(event.item, llm.ChatMessage):
        turns.add(event.item.role, event.item.text_content or "")
