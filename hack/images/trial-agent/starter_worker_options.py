"""A starter with WorkerOptions: connect by hand, wait for a participant, and greet them."""

from livekit.agents import Agent, AgentSession, AutoSubscribe, JobContext, JobProcess, WorkerOptions, cli
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import PicoTTS


def prewarm(proc: JobProcess) -> None:
    """Load the models."""
    proc.userdata["stt"] = MoonshineSTT()


async def entrypoint(ctx: JobContext) -> None:
    """Greet the first participant."""
    await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    participant = await ctx.wait_for_participant()
    stt = ctx.proc.userdata["stt"]
    session: AgentSession[None] = AgentSession(stt=stt, tts=PicoTTS(), turn_handling={"turn_detection": "vad"})
    await session.start(Agent(instructions="Be friendly."), room=ctx.room)
    print(f"starter met {participant.identity} in {ctx.room.name}", flush=True)
    await session.say("Hello.")


if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm))
