"""The built-in assistant: it hears, thinks and speaks through the VoiceAgent's providers, and has a memory."""

import asyncio
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectOptions,
    ConversationItemAddedEvent,
    JobContext,
    JobProcess,
    ModelSettings,
    StopResponse,
    inference,
    llm,
    room_io,
)

from voicesession_agent.assistant.context_window import ContextWindow
from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.assistant.memory_context import memory_tools, render
from voicesession_agent.assistant.provider_watch import ATTEMPT_SECONDS, Chunk, ProviderWatch, spoken_lines
from voicesession_agent.assistant.speaker_selection import NOBODY, Audience, Greeter, SpeakerSelector
from voicesession_agent.assistant.text_input import TextInput, attribute
from voicesession_agent.assistant.turn_recorder import EchoDetector, HistoryRecorder, TurnRecorder
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.shutdown import JobServices
from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.livekit_internals import forget_old_events, replace_instructions
from voicesession_agent.protocol import JobFacts, Message
from voicesession_agent.settings import AgentSpec
from voicesession_agent.speech import providers

MIN_SILENCE_SECONDS: Final = 0.25
MIN_ENDPOINTING_SECONDS: Final = 0.3
MAX_ENDPOINTING_SECONDS: Final = 1.2
CLOSE_WAIT_SECONDS: Final = 0.1
"""Wait for a last transcript on close; livekit-agents' default of 2 s would delay every restart by 2 s."""
START_SECONDS: Final = 30.0
"""Time limit of the session's start, which takes less than 1 s; a session that never starts hears nothing."""
LLM_OPTIONS: Final = APIConnectOptions(max_retry=1, retry_interval=0.5, timeout=ATTEMPT_SECONDS)
KEPT_EVENTS: Final = 100
"""Newest events that the session keeps; nothing of the assistant reads them."""
MODELS: Final = "voicesession.models"
ROOM_OPTIONS: Final = room_io.RoomOptions(close_on_disconnect=False, participant_identity=NOBODY, text_input=False)
"""Only SpeakerSelector links participants: RoomIO would link the first one, also an observer. TextInput takes the text
of every human: RoomIO would take that of the linked one."""
ANSWER_TEXT: Final = room_io.TextInputOptions().text_input_cb
"""livekit-agents' own answer to typed text: interrupt the agent, then generate the reply."""
log = logging.getLogger(__name__)


def prewarm(proc: JobProcess, spec: AgentSpec) -> None:
    """Load every model. Raise ValueError for a provider that is not installed."""
    detection = inference.VAD(model="silero", min_silence_duration=MIN_SILENCE_SECONDS)
    models = {
        "stt": providers.make_stt(spec.stt, detection),
        "llm": providers.make_llm(spec.llm),
        "tts": providers.make_tts(spec.tts),
        "vad": detection,
    }
    proc.userdata[MODELS] = models


def make_session(models: dict[str, Any], spec: AgentSpec) -> "AgentSession[None]":
    """Create a session with local processing only: no setting may fall back to LiveKit's cloud."""
    detector: Any = inference.TurnDetector(version="v1-mini") if spec.turn_detection == "v1-mini" else "vad"
    session: AgentSession[None] = AgentSession(
        **models,
        session_close_transcript_timeout=CLOSE_WAIT_SECONDS,
        turn_handling={
            "turn_detection": detector,
            "interruption": {"mode": "vad"},
            "preemptive_generation": {"enabled": False},
            "endpointing": {"min_delay": MIN_ENDPOINTING_SECONDS, "max_delay": MAX_ENDPOINTING_SECONDS},
        },
    )
    session.conn_options.llm_conn_options = LLM_OPTIONS
    return session


async def run(
    ctx: JobContext,
    services: JobServices,
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
    history = HistoryRecorder(services.reporter.report, facts.history)
    for recorder in (turns.add, history.add):
        session.on("conversation_item_added", partial(_record_message, recorder))
    services.shutdown.after_session_closed(turns.close)
    audience = Audience(ctx.room, session)
    idle = IdleMonitor(
        lambda: audience.say(spec.idle_prompt, selector.linked), facts.idle_seconds if spec.idle_prompt else 0.0
    )
    greeter = Greeter(audience.say, services.reporter, spec.greeting, set(facts.greeted))
    selector = SpeakerSelector(ctx.room, session, greeter, idle.set_human_present)
    attempts = 1 + len(spec.llm.fallback)
    watch = ProviderWatch(services.health, spoken_lines(spec), attempt_seconds=attempts * ATTEMPT_SECONDS)
    watch.watch(session)
    people = People(ctx.room, audience, lambda: selector.linked)
    report_summary = partial(services.reporter.report, "summary")
    window = ContextWindow(partial(providers.make_llm, spec.llm), lambda text: report_summary(text=text), facts.summary)
    assistant = Assistant(spec, services.supervisor, facts, idle, people, watch, window)
    text_input = TextInput(ctx.room, assistant.answer_text)
    services.health.watch_speech(session, lambda: idle.has_prompted)
    async with asyncio.timeout(start_seconds):
        await session.start(assistant, room=ctx.room, room_options=ROOM_OPTIONS)
    forget_old_events(session, KEPT_EVENTS)
    for step in (text_input.close, idle.close, selector.close, audience.close, window.close):
        services.shutdown.before_session_closes(step)
    services.health.watch_playback(session)
    services.reporter.leave_speech_to_session()
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
        self,
        spec: AgentSpec,
        client: SupervisorClient,
        facts: JobFacts,
        idle: IdleMonitor,
        people: People,
        watch: ProviderWatch,
        window: ContextWindow,
    ) -> None:
        super().__init__(
            instructions=render(spec.instructions, facts.blocks),
            chat_ctx=_context(facts.history),
            tools=memory_tools(client, facts),
        )
        self._spec = spec
        self._client = client
        self._facts = facts
        self._idle = idle
        self._people = people
        self._echoes = EchoDetector()
        self._watch = watch
        self._window = window

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterator[Chunk]:
        """Yield the answer of the language model to the shortened context, under the watch of its provider.

        A long conversation is summarized while the answer is spoken.
        """
        chunks = Agent.default.llm_node(self, self._window.shorten(chat_ctx), tools, model_settings)
        after_tool = bool(chat_ctx.items) and chat_ctx.items[-1].type == "function_call_output"
        async with aclosing(self._watch.answer(chunks, _label(self.session.llm), may_be_empty=after_tool)) as answer:
            async for chunk in answer:
                yield chunk
        self._window.summarize(chat_ctx)

    def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterator[rtc.AudioFrame]:
        """Return the speech of a text, under the watch of its provider."""
        return self._watch.speech(Agent.default.tts_node(self, text, model_settings), _label(self.session.tts))

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
        if (facts.remembers, facts.recalls) != (before.remembers, before.recalls):
            await self.update_tools(memory_tools(self._client, facts))
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


def _label(engine: Any) -> str:
    """Return livekit-agents' label of an engine; a session always has one here."""
    return str(engine.label)


def _report_activity(reporter: RoomReporter, state: str) -> None:
    """Report speech found by voice detection."""
    if state == "speaking":
        reporter.report("active")


def _record_message(record: Callable[[str, str], None], event: ConversationItemAddedEvent) -> None:
    if isinstance(event.item, llm.ChatMessage):
        record(event.item.role, event.item.text_content or "")


def _context(history: Sequence[Message]) -> llm.ChatContext:
    """Return the context of a conversation that an earlier job began."""
    context = llm.ChatContext.empty()
    for message in history:
        context.add_message(role="user" if message.role == "user" else "assistant", content=message.text)
    return context
