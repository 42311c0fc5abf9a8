"""An ordinary livekit-agents entry point, without any code for VoiceSessions."""

from livekit.agents import Agent, AgentSession, ChatContext, ChatMessage, JobContext, JobProcess
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import PicoTTS


class Echo(Agent):
    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        self.session.say(f"Your own agent heard: {new_message.text_content}")


def prewarm(proc: JobProcess) -> None:
    proc.userdata.update(stt=MoonshineSTT(), tts=PicoTTS())


async def entrypoint(ctx: JobContext) -> None:
    session: AgentSession[None] = AgentSession(**ctx.proc.userdata, turn_handling={"turn_detection": "vad"})
    await session.start(Echo(instructions="Repeat what you hear."), room=ctx.room)
