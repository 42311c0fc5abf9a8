"""A starter with two agents in writing: a handoff, shared data, the end of the call by a tool, and a report."""

import os
from dataclasses import dataclass

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, RunContext, cli, function_tool
from livekit.agents.beta.tools import EndCallTool
from livekit.agents.voice.room_io import RoomOptions
from livekit.plugins import openai

server = AgentServer()


@dataclass
class Visit:
    """Data of one visit, shared by the agents."""

    table: int = 0


class Reception(Agent):
    """Receives the guests."""

    def __init__(self) -> None:
        super().__init__(instructions="Receive the guests.")

    @function_tool
    async def reserve_table(self, context: RunContext[Visit]) -> Agent:
        """Reserve a table."""
        context.userdata.table = 7
        return Waiter()


class Waiter(Agent):
    """Serves a table, until the guests want to leave."""

    def __init__(self) -> None:
        super().__init__(instructions="Serve the guests.", tools=[EndCallTool()])

    async def on_enter(self) -> None:
        """Name the table."""
        self.session.say(f"I am the waiter of table {self.session.userdata.table}.")


async def report(ctx: JobContext) -> None:
    """Print the length of the conversation."""
    print(f"restaurant: {len(ctx.make_session_report().chat_history.items) > 2} report", flush=True)  # noqa: PLR2004


@server.rtc_session(agent_name="starter", on_session_end=report)
async def restaurant(ctx: JobContext) -> None:
    """Serve one visit."""
    model = openai.LLM(model="scripted-1", base_url=os.environ["STARTER_LLM"], api_key="none")
    session = AgentSession[Visit](llm=model, userdata=Visit())

    async def close_bill() -> None:
        print(f"restaurant: bill of table {session.userdata.table}", flush=True)

    ctx.add_shutdown_callback(close_bill)
    await ctx.connect()
    guest = await ctx.wait_for_participant()
    options = RoomOptions(audio_input=False, audio_output=False)
    await session.start(Reception(), room=ctx.room, room_options=options)
    print(f"restaurant: open for {guest.identity}", flush=True)


if __name__ == "__main__":
    cli.run_app(server)
