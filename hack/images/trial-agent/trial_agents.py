"""Agents for tests of detection, recovery and ends; each function is a livekit-agents entry point."""

import asyncio
import os
import time

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    ChatContext,
    ChatMessage,
    JobContext,
    JobProcess,
    function_tool,
)
from livekit.plugins import openai
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import PicoTTS

TOOL_SECONDS = 30
FOREVER = 3600
CALLBACK_SECONDS = 5


class SlowTool(Agent):
    """An agent with one tool that takes half a minute; the scripted model calls it to remember a fact."""

    @function_tool
    async def memory_insert(self, label: str, new_string: str) -> str:
        """Write a sentence into memory.

        Args:
            label: The block.
            new_string: The sentence.
        """
        print("tool began", flush=True)
        await asyncio.sleep(TOOL_SECONDS)
        return f"{len(new_string)} characters in {label}"


class Blocking(Agent):
    """Repeats every utterance; the word "moment" blocks its event loop, as a careless library call would."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        text = new_message.text_content or ""
        if "moment" in text.lower():
            time.sleep(FOREVER)  # noqa: ASYNC251  the fault that the test needs
        self.session.say(f"You said: {text}")


def prewarm(proc: JobProcess) -> None:
    """Load the embedded engines."""
    proc.userdata.update(stt=MoonshineSTT(), tts=PicoTTS())


async def slow_tool(ctx: JobContext) -> None:
    """Run an agent with a slow tool."""
    model = openai.LLM(model="scripted-1", base_url=os.environ["TRIAL_LLM"], api_key="none")
    await _start(ctx, SlowTool(instructions="Remember what you are asked to.", llm=model))


async def blocking(ctx: JobContext) -> None:
    """Run an agent that blocks its event loop on request."""
    await _start(ctx, Blocking(instructions="Repeat what you hear."))


async def stuck(ctx: JobContext) -> None:
    """Join the room and block the event loop at once; every new job does the same."""
    await ctx.connect()
    await asyncio.sleep(1)
    time.sleep(FOREVER)  # noqa: ASYNC251  the fault that the test needs


server = AgentServer(setup_fnc=prewarm)


async def note_session_end(ctx: JobContext) -> None:
    """Print that the session of this job has ended."""
    print(f"{ctx.job.id} session end", flush=True)


@server.rtc_session(on_session_end=note_session_end)
async def goodbye(ctx: JobContext) -> None:
    """Say goodbye to the first human and end the session; without one, only the shutdown callback is of interest."""

    async def count_seconds() -> None:
        for second in range(1, CALLBACK_SECONDS + 1):
            await asyncio.sleep(1)
            print(f"{ctx.job.id} callback {second}", flush=True)

    ctx.add_shutdown_callback(count_seconds)
    session = await _start(ctx, Agent(instructions="Say goodbye."))
    await ctx.wait_for_participant()
    await session.say("Thank you for your call. Goodbye.")
    ctx.shutdown("the conversation is over")


async def _start(ctx: JobContext, agent: Agent) -> "AgentSession[None]":
    session: AgentSession[None] = AgentSession(
        **ctx.proc.userdata, session_close_transcript_timeout=0.1, turn_handling={"turn_detection": "vad"}
    )
    await session.start(agent, room=ctx.room)
    return session
