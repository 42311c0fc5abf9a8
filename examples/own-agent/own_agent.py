"""An ordinary livekit-agents entry point without any VoiceSession code."""

from livekit.agents import Agent, AgentSession, ChatContext, ChatMessage, JobContext, JobProcess
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import PicoTTS


class Echo(Agent):
    """Repeats every utterance."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        """Say the user's words."""
        self.session.say(f"Your own agent heard: {new_message.text_content}")


def prewarm(proc: JobProcess) -> None:
    """Load the speech models once per process, before the conversation."""
    proc.userdata.update(stt=MoonshineSTT(), tts=PicoTTS())


async def entrypoint(ctx: JobContext) -> None:
    """Run one conversation."""
    session: AgentSession[None] = AgentSession(**ctx.proc.userdata, turn_handling={"turn_detection": "vad"})
    await session.start(Echo(instructions="Repeat what you hear."), room=ctx.room)
