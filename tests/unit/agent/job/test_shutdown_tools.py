"""Tools that run at the end of a job, and forbid their interruption as livekit-agents' documents describe it."""

import asyncio
from typing import Any

from livekit.agents import Agent, AgentSession, RunContext, function_tool
from voicesession_agent.livekit_internals import running_tools
from voicesession_agent.protocol import Dismissal

from tests.support.fakes.tool_calling_model import ToolCallingModel
from tests.unit.agent.job.test_shutdown import DEADLINE, ShutdownScene


class Payment:
    """A tool that forbids its interruption, and ends on request."""

    def __init__(self) -> None:
        self.running, self.may_end = asyncio.Event(), asyncio.Event()
        self.outcome = ""

    async def start(self, scene: ShutdownScene) -> None:
        """Let a session call the tool, and wait until it runs."""

        @function_tool
        async def pay(ctx: RunContext[Any]) -> str:
            """Pay."""
            ctx.disallow_interruptions()
            self.running.set()
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.outcome = "canceled"
                raise
            self.outcome = "paid"
            return self.outcome

        session: AgentSession[None] = AgentSession(llm=ToolCallingModel("pay"))
        await session.start(Agent(instructions="Call the tool.", tools=[pay]))
        scene.session = session
        session.generate_reply(user_input="Please.")
        await asyncio.wait_for(self.running.wait(), DEADLINE)


async def test_tool_without_interruptions_ends_alone() -> None:
    scene, payment = ShutdownScene(step_seconds=DEADLINE), Payment()
    scene.job.before_session_closes(scene.step("idle monitor"))
    await payment.start(scene)
    scene.dismissal.set_result(Dismissal.RESET)
    await scene.until(lambda: scene.steps == ["idle monitor"])
    assert (payment.outcome, list(running_tools().values())) == ("", [False])
    payment.may_end.set()
    await scene.until(lambda: scene.count("background_cancelled") > 0)
    assert (payment.outcome, running_tools()) == ("paid", {})
    await scene.job.close()


async def test_tool_without_interruptions_is_canceled_after_half_of_the_time() -> None:
    scene, payment = ShutdownScene(step_seconds=DEADLINE, shutdown_seconds=0.1), Payment()
    await payment.start(scene)
    await scene.dismiss(Dismissal.RESET)
    assert payment.outcome == "canceled"
    await scene.job.close()
