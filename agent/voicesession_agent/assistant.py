"""The built-in assistant: hears, thinks and speaks with the VoiceAgent's providers, and remembers."""

import asyncio
import logging
from typing import Any, Final

import aiohttp
from livekit import rtc
from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent, JobContext, JobProcess, inference, llm
from livekit.agents.voice.generation import update_instructions
from livekit.agents.voice.room_io import RoomOptions

from voicesession_agent.link import JobFacts, JobLink
from voicesession_agent.people import is_human
from voicesession_agent.prompt import render
from voicesession_agent.settings import AgentSpec, Settings
from voicesession_agent.speech import factories
from voicesession_agent.turns import TurnTaker

MIN_SILENCE_SECONDS: Final = 0.25
MIN_ENDPOINTING_SECONDS: Final = 0.3
MAX_ENDPOINTING_SECONDS: Final = 1.2
CLOSE_WAIT_SECONDS: Final = 0.1
"""livekit-agents' default of 2 s for a last transcript would delay every restart by as much."""
MODELS: Final = "voicesession.models"
log = logging.getLogger(__name__)


def prewarm(proc: JobProcess, spec: AgentSpec) -> None:
    """Load every model. Raise ValueError for a provider that is not there."""
    models = {
        "stt": factories.make_stt(spec.stt),
        "llm": factories.make_llm(spec.llm),
        "tts": factories.make_tts(spec.tts),
        "vad": inference.VAD(model="silero", min_silence_duration=MIN_SILENCE_SECONDS),
    }
    proc.userdata[MODELS] = models


async def run(ctx: JobContext, link: JobLink) -> None:
    """Join, talk to one human at a time, and end with the room."""
    spec = Settings.load().agent
    facts = await link.job()
    session = make_session(ctx.proc.userdata[MODELS], spec)
    turns = TurnTaker(link)
    session.on("conversation_item_added", lambda event: _remember(turns, event))
    ctx.add_shutdown_callback(turns.close)
    await ctx.connect()
    assistant = Assistant(spec, link, facts)
    await session.start(assistant, room=ctx.room, room_options=RoomOptions(close_on_disconnect=False))
    listener = Listener(ctx.room, session, link, spec.greeting, set(facts.greeted))
    ctx.add_shutdown_callback(listener.close)
    listener.start()


def make_session(models: dict[str, Any], spec: AgentSpec) -> "AgentSession[None]":
    """Everything said to it is local: no setting here may fall back to LiveKit's cloud."""
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


class Assistant(Agent):
    """Instructions plus memory; asks the supervisor (never memory itself) for fresh blocks before each answer."""

    def __init__(self, spec: AgentSpec, link: JobLink, facts: JobFacts) -> None:
        super().__init__(instructions=render(spec.instructions, facts.blocks))
        self._own_words = spec.instructions
        self._link = link
        self._memory_hash = facts.memory_hash

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        try:
            facts = await self._link.job()
        except (aiohttp.ClientError, TimeoutError):
            log.warning("the supervisor does not answer", extra={"event": "stale_memory"})
            return
        if facts.memory_hash == self._memory_hash:
            return
        self._memory_hash = facts.memory_hash
        text = render(self._own_words, facts.blocks)
        await self.update_instructions(text)
        update_instructions(turn_ctx, instructions=text, add_if_missing=True)


class Listener:
    """Links the session to the human who is there: it hears one person only, and not the next by itself."""

    def __init__(
        self, room: rtc.Room, session: "AgentSession[None]", link: JobLink, greeting: str, greeted: set[str]
    ) -> None:
        self._room = room
        self._session = session
        self._link = link
        self._greeting = greeting
        self._greeted = greeted
        self._linked = ""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._room.on("participant_connected", lambda _: self._choose())
        self._room.on("participant_disconnected", lambda _: self._choose())
        self._room.on("participant_attributes_changed", lambda *_: self._choose())
        self._choose()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _choose(self) -> None:
        """Keep to the linked human while she is there, else turn to whoever came first."""
        present = [p.identity for p in self._room.remote_participants.values() if is_human(p)]
        if not present:
            self._linked = ""
        if self._linked in present or not present:
            return
        self._linked = present[0]
        self._session.room_io.set_participant(self._linked)
        if self._greeting and self._linked not in self._greeted:
            self._greeted.add(self._linked)
            self._greet(self._linked)

    def _greet(self, identity: str) -> None:
        self._session.say(self._greeting)
        told = asyncio.create_task(self._tell_greeted(identity))
        self._tasks.add(told)
        told.add_done_callback(self._tasks.discard)

    async def _tell_greeted(self, identity: str) -> None:
        """So that a job that takes over mid-call does not greet her again."""
        try:
            await self._link.report("greeted", identity=identity)
        except (aiohttp.ClientError, TimeoutError):
            log.warning("a report was lost", extra={"event": "report_lost"})


def _remember(turns: TurnTaker, event: ConversationItemAddedEvent) -> None:
    if isinstance(event.item, llm.ChatMessage):
        turns.add(event.item.role, event.item.text_content or "")
