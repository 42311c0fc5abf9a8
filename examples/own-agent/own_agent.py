"""An ordinary livekit-agents program without any VoiceSession code."""

import os

from livekit.agents import Agent, AgentServer, AgentSession, ChatContext, ChatMessage, JobContext, JobProcess, cli
from livekit.plugins import deepgram  # type: ignore[attr-defined] # only the image has it
from voicesession_agent.speech.moonshine import MoonshineSTT
from voicesession_agent.speech.pico import PicoTTS

server = AgentServer()


class Echo(Agent):
    """Repeats every utterance."""

    async def on_user_turn_completed(self, turn_ctx: ChatContext, new_message: ChatMessage) -> None:
        """Say the user's words."""
        self.session.say(f"Your own agent heard: {new_message.text_content}")


def prewarm(proc: JobProcess) -> None:
    """Load the speech models once per process, before the conversation."""
    stt = deepgram.STT() if os.environ.get("DEEPGRAM_API_KEY") else MoonshineSTT()
    proc.userdata.update(stt=stt, tts=PicoTTS())


server.setup_fnc = prewarm


@server.rtc_session(agent_name="own-agent")
async def entrypoint(ctx: JobContext) -> None:
    """Run one conversation."""
    session: AgentSession[None] = AgentSession(**ctx.proc.userdata, turn_handling={"turn_detection": "vad"})
    await session.start(Echo(instructions="Repeat what you hear."), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
