"""The built-in assistant: hears, thinks and speaks with the VoiceAgent's providers, and remembers."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from livekit.agents import (
    Agent,
    AgentSession,
    ConversationItemAddedEvent,
    JobContext,
    JobProcess,
    ToolError,
    function_tool,
    inference,
    llm,
)
from livekit.agents.voice.generation import update_instructions
from livekit.agents.voice.room_io import RoomOptions

from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.assistant.speaker_selection import SpeakerSelector
from voicesession_agent.assistant.turn_recorder import TurnRecorder
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.services import JobServices
from voicesession_agent.job.supervisor_client import JobFacts, SupervisorClient
from voicesession_agent.memory.backend import Block
from voicesession_agent.settings import AgentSpec, Settings
from voicesession_agent.speech import providers as factories


def render(instructions: str, blocks: Sequence[Block]) -> str:
    """Instructions and one `<memory_block>` per block that has a value; the instructions alone when none has."""
    shown = [_block(block) for block in blocks if block.value.strip()]
    if not shown:
        return instructions
    return "\n\n".join((instructions, "What you remember:", *shown))


def _block(block: Block) -> str:
    head = f'<memory_block label="{block.label}">'
    about = (f"<description>{block.description}</description>",) if block.description else ()
    return "\n".join((head, *about, f"<value>{block.value}</value>", "</memory_block>"))


ABOUT: Final = (
    "Write a fact into your long-term memory, so that you know it in later conversations too. "
    "Call it when somebody asks you to remember something."
)


def remember_tool(link: SupervisorClient) -> "llm.FunctionTool[Any, Any]":
    @function_tool(name="remember", description=ABOUT)
    async def remember(fact: str) -> str:
        """
        Args:
            fact: One complete sentence in the third person, e.g. "The user's favorite color is blue."
        """
        try:
            fault = await link.remember(fact)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ToolError("Error: not remembered, memory does not answer.") from error
        if fault:
            raise ToolError(f"Error: not remembered, {fault}.")
        return "Remembered."

    return remember


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


async def run(ctx: JobContext, services: JobServices) -> None:
    """Join, talk to one human at a time, and end with the room."""
    spec = Settings.load().agent
    facts, _ = await asyncio.gather(services.link.job(), ctx.connect())
    session = make_session(ctx.proc.userdata[MODELS], spec)
    turns = TurnRecorder(services.link, lambda: services.presence.report("turn_lost"))
    session.on("conversation_item_added", lambda event: _remember(turns, event))
    services.departures.after_closing(turns.close)
    idle = IdleMonitor(lambda: _ask(session, spec.idle_prompt), facts.idle_seconds if spec.idle_prompt else 0.0)
    welcome = Greeter(session, services.presence, spec.greeting, set(facts.greeted))
    listener = SpeakerSelector(ctx.room, session, welcome, welcome.met, idle.there)
    services.signs.attend(session, lambda: listener.linked, lambda: idle.asked)  # a start that hangs is to be found too
    await session.start(
        Assistant(spec, services.link, facts, idle), room=ctx.room, room_options=RoomOptions(close_on_disconnect=False)
    )
    for step in (idle.close, listener.close):
        services.departures.before_closing(step)
    session.on("user_state_changed", lambda event: _tell_activity(services.presence, event.new_state))
    idle.watch(session)
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
    """Instructions plus memory; asks the supervisor (never memory itself) for fresh blocks before each answer.

    The supervisor answers from its cache, so that memory never makes an answer wait.
    """

    def __init__(self, spec: AgentSpec, link: SupervisorClient, facts: JobFacts, idle: IdleMonitor) -> None:
        super().__init__(
            instructions=render(spec.instructions, facts.blocks), tools=[remember_tool(link)] if facts.remembers else []
        )
        self._spec = spec
        self._link = link
        self._facts = facts
        self._idle = idle

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        try:
            facts = await self._link.job()
        except (aiohttp.ClientError, TimeoutError):
            log.warning("the supervisor does not answer", extra={"event": "stale_memory"})
            return
        before, self._facts = self._facts, facts
        if self._spec.idle_prompt:
            self._idle.set_seconds(facts.idle_seconds)
        if facts.remembers != before.remembers:
            await self.update_tools([remember_tool(self._link)] if facts.remembers else [])
        if facts.memory_hash != before.memory_hash:
            text = render(self._spec.instructions, facts.blocks)
            await self.update_instructions(text)
            update_instructions(turn_ctx, instructions=text, add_if_missing=True)


class Greeter:
    """Greets each human once; a job that takes over in mid-call is told whom the last one had greeted."""

    def __init__(self, session: "AgentSession[None]", presence: RoomReporter, greeting: str, greeted: set[str]) -> None:
        self._session = session
        self._presence = presence
        self._greeting = greeting
        self._greeted = greeted

    def __call__(self, identity: str) -> None:
        if self._greeting and identity not in self._greeted:
            self._session.say(self._greeting)
        self.met(identity)

    def met(self, identity: str) -> None:
        """Whoever is in the conversation already needs no greeting any more."""
        if self._greeting and identity not in self._greeted:
            self._greeted.add(identity)
            self._presence.report("greeted", identity=identity)


def _ask(session: "AgentSession[None]", prompt: str) -> None:
    session.say(prompt)


def _tell_activity(presence: RoomReporter, state: str) -> None:
    """Voice detection hears her a little sooner than LiveKit lists her among the active speakers."""
    if state == "speaking":
        presence.report("active")


def _remember(turns: TurnRecorder, event: ConversationItemAddedEvent) -> None:
    if isinstance(event.item, llm.ChatMessage):
        turns.add(event.item.role, event.item.text_content or "")
