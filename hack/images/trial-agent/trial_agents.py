"""Agents that do what agents should not, to be found out and mended; each function is a livekit-agents entry point."""

import asyncio
import os
import time

from livekit.agents import Agent, AgentSession, ChatContext, ChatMessage, JobContext, JobProcess, function_tool
from livekit.agents.voice.room_io import RoomOptions
from livekit.plugins import openai
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import PicoTTS

TOOL_SECONDS = 30
FOREVER = 3600


class SlowTool(Agent):
    """Its one tool, called by the scripted model whenever something is to be remembered, takes half a minute."""

    @function_tool
    async def memory_insert(self, label: str, new_string: str) -> str:
        """Write a sentence into memory.

        Args:
            label: Which block.
            new_string: The sentence.
        """
        print("tool began", flush=True)
        await asyncio.sleep(TOOL_SECONDS)
        return f"{len(new_string)} characters in {label}"


class Blocking(Agent):
    """Repeats what it hears; asked to stop for a moment it blocks its event loop, as a careless library call does."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        heard = new_message.text_content or ""
        if "moment" in heard.lower():
            time.sleep(FOREVER)  # noqa: ASYNC251  the very fault that is to be found
        self.session.say(f"You said: {heard}")


def prewarm(proc: JobProcess) -> None:
    proc.userdata.update(stt=MoonshineSTT(), tts=PicoTTS())


async def slow_tool(ctx: JobContext) -> None:
    model = openai.LLM(model="scripted-1", base_url=os.environ["TRIAL_LLM"], api_key="none")
    await _start(ctx, SlowTool(instructions="Remember what you are asked to.", llm=model))


async def blocking(ctx: JobContext) -> None:
    await _start(ctx, Blocking(instructions="Repeat what you hear."))


async def stuck(ctx: JobContext) -> None:
    """In the room, and at once of no use in it: every new job is stuck like the one before."""
    await ctx.connect()
    await asyncio.sleep(1)
    time.sleep(FOREVER)  # noqa: ASYNC251  as above


async def _start(ctx: JobContext, agent: Agent) -> None:
    session: AgentSession[None] = AgentSession(
        **ctx.proc.userdata, session_close_transcript_timeout=0.1, turn_handling={"turn_detection": "vad"}
    )
    await session.start(agent, room=ctx.room, room_options=RoomOptions(close_on_disconnect=False))
