"""The end of a job, with livekit-agents' own session and a slow tool."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseEvent, function_tool
from voicesession_agent.job.shutdown import STEP_SECONDS, JobShutdown
from voicesession_agent.livekit_internals import running_tools
from voicesession_agent.protocol import Dismissal

from tests.support.fakes.room import FakeAgentSession, FakeRoom
from tests.support.fakes.tool_calling_model import ToolCallingModel

DEADLINE = 30.0
NEVER = 3600.0


class ShutdownScene:
    """The context, supervisor client and room reporter of one job."""

    def __init__(self, step_seconds: float = STEP_SECONDS, shutdown_seconds: float = NEVER) -> None:
        self.room = FakeRoom()
        self.dismissal: asyncio.Future[Dismissal] = asyncio.get_running_loop().create_future()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.shutdowns: list[str] = []
        self.steps: list[str] = []
        self.session: Any = None
        scene: Any = self
        self.callbacks: list[Callable[[str], Awaitable[None]]] = []
        self.exits: list[int] = []
        self.job = JobShutdown(scene, scene, scene, shutdown_seconds, step_seconds, 0.0, self.exits.append)

    @property
    def primary_session(self) -> Any:
        if self.session is None:
            raise RuntimeError
        return self.session

    async def wait_until_dismissed(self) -> Dismissal:
        return await self.dismissal

    def shutdown(self, reason: str) -> None:
        self.shutdowns.append(reason)

    def add_shutdown_callback(self, callback: Callable[..., Awaitable[None]]) -> None:
        self.callbacks.append(callback)

    async def run_callbacks(self) -> None:
        """Run the shutdown callbacks as livekit-agents does."""
        await asyncio.gather(*(callback("over") for callback in self.callbacks))

    def count(self, kind: str) -> int:
        """Return the number of reports of this kind."""
        return sum(reported == kind for reported, _ in self.reports)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the code under test sends no notification
                await asyncio.sleep(0.001)

    def report(self, kind: str, **facts: Any) -> None:
        self.reports.append((kind, facts))

    def report_disconnected(self, reason: Any) -> None:
        self.report("gone")

    def step(self, name: str) -> Callable[[], Awaitable[None]]:
        async def take() -> None:
            self.steps.append(name)

        return take

    async def dismiss(self, dismissal: Dismissal) -> dict[str, Any]:
        """Dismiss the job; return the report of its background work once that has ended."""
        self.dismissal.set_result(dismissal)
        await self.until(lambda: self.count("background_cancelled") > 0)
        await self.until(lambda: dismissal is Dismissal.RESET or bool(self.shutdowns))
        return next(facts for kind, facts in self.reports if kind == "background_cancelled")


@pytest.fixture
async def scene() -> AsyncIterator[ShutdownScene]:
    scene = ShutdownScene()
    yield scene
    await scene.job.close()


async def test_reset_ends_background_in_order_and_stays_in_room(scene: ShutdownScene) -> None:
    session = scene.session = FakeAgentSession()
    scene.job.before_session_closes(scene.step("idle monitor"))
    scene.job.after_session_closed(scene.step("last turn"))
    started = time.monotonic()
    reported = await scene.dismiss(Dismissal.RESET)
    assert (session.audio, session.closed) == ([False], 1)
    assert scene.steps == ["idle monitor", "last turn"]
    assert (scene.room.disconnects, scene.shutdowns) == (0, [])
    assert [kind for kind, _ in scene.reports] == ["dismissed", "background_cancelled"]
    assert reported["tools"] == 0
    assert 0 <= reported["ms"] <= round((time.monotonic() - started) * 1000)


async def test_dismissal_disconnects_room_and_shuts_down(scene: ShutdownScene) -> None:
    await scene.dismiss(Dismissal.LEAVE)
    assert (scene.room.disconnects, scene.shutdowns) == (1, ["dismissed"])


async def test_lost_supervisor_counts_as_dismissal(scene: ShutdownScene) -> None:
    scene.dismissal.set_exception(aiohttp.ClientConnectionError())
    async with asyncio.timeout(DEADLINE):
        while not scene.shutdowns:  # noqa: ASYNC110 - the code under test sends no notification
            await asyncio.sleep(0.001)


async def test_entry_point_is_canceled_and_cleans_up(scene: ShutdownScene) -> None:
    async def entry() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            scene.steps.append("cleaned up")

    running = asyncio.create_task(scene.job.run(entry()))
    await asyncio.sleep(0)
    await scene.dismiss(Dismissal.RESET)
    await asyncio.wait_for(running, DEADLINE)
    assert scene.steps == ["cleaned up"]


async def test_failed_entry_point_is_reported_without_message(scene: ShutdownScene) -> None:
    async def entry() -> None:
        raise RuntimeError("secret")

    async def refused() -> None:
        raise rtc.ConnectError("404")

    with pytest.raises(RuntimeError):
        await scene.job.run(entry())
    with pytest.raises(rtc.ConnectError):
        await scene.job.run(refused())
    assert scene.reports == [("trouble", {"text": "the agent's entry point failed: RuntimeError"})]


async def test_hanging_or_failing_step_does_not_block_next_step(caplog: pytest.LogCaptureFixture) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError

    scene = ShutdownScene(step_seconds=0.01)
    for step in (hang, fail, scene.step("last")):
        scene.job.before_session_closes(step)
    await scene.dismiss(Dismissal.RESET)
    await scene.job.close()
    assert scene.steps == ["last"]
    named = [(vars(r)["event"], vars(r)["step"].rpartition(".")[2]) for r in caplog.records]
    assert named == [("late", "hang"), ("cleanup_failed", "fail")]


async def test_end_without_dismissal_runs_cleanup_steps(scene: ShutdownScene) -> None:
    scene.job.before_session_closes(scene.step("idle monitor"))
    scene.job.after_session_closed(scene.step("last turn"))
    await scene.job.close()
    assert scene.steps == ["idle monitor", "last turn"]
    assert [kind for kind, _ in scene.reports] == ["background_cancelled"]


async def test_end_after_dismissal_repeats_no_step(scene: ShutdownScene) -> None:
    scene.job.after_session_closed(scene.step("last turn"))
    await scene.dismiss(Dismissal.RESET)
    await scene.job.close()
    assert scene.steps == ["last turn"]


async def test_running_tool_is_canceled_and_session_closes() -> None:
    scene = ShutdownScene(step_seconds=DEADLINE)
    running, ended = asyncio.Event(), asyncio.Event()

    @function_tool
    async def slow() -> str:
        """Wait forever."""
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "done"

    session: AgentSession[None] = AgentSession(llm=ToolCallingModel("slow"))
    closed: list[CloseEvent] = []
    session.on("close", closed.append)
    await session.start(Agent(instructions="Call the tool.", tools=[slow]))
    scene.session = session
    session.generate_reply(user_input="Please.")
    await asyncio.wait_for(running.wait(), DEADLINE)
    reported = await scene.dismiss(Dismissal.RESET)
    assert reported["tools"] == 1
    assert ended.is_set()
    assert running_tools() == {}
    assert len(closed) == 1
    await scene.job.close()


@pytest.mark.parametrize("reason", [(), ("goodbye",)])
async def test_shutdown_of_context_ends_session_after_close(scene: ShutdownScene, reason: tuple[str, ...]) -> None:
    session = scene.session = FakeAgentSession()
    context: Any = scene
    context.shutdown(*reason)
    await scene.until(lambda: bool(scene.shutdowns))
    assert (session.closed, scene.count("ended")) == (1, 1)
    assert scene.shutdowns == [reason[0] if reason else "user requested"]
    assert scene.room.disconnects == 0, "livekit-agents leaves the room after on_session_end"


async def test_deleted_room_ends_session_at_once(scene: ShutdownScene) -> None:
    scene.session = FakeAgentSession()
    scene.job.delete_room()
    assert scene.count("ended") == 1
    scene.job.end_session()
    await scene.until(lambda: bool(scene.shutdowns))
    assert (scene.count("ended"), len(scene.shutdowns)) == (1, 1)


async def test_returned_entry_point_does_not_end_session(scene: ShutdownScene) -> None:
    async def entry() -> None:
        return

    await scene.job.run(entry())
    await asyncio.sleep(0.01)
    assert (scene.reports, scene.shutdowns) == ([], [])


async def fail() -> None:
    raise ValueError("of the test")


@pytest.mark.parametrize("cause", ["reset", "leave", "disconnected", "crash"])
async def test_ending_job_cannot_end_session(scene: ShutdownScene, cause: str) -> None:
    match cause:
        case "reset":
            await scene.dismiss(Dismissal.RESET)
        case "leave":
            await scene.dismiss(Dismissal.LEAVE)
        case "disconnected":
            scene.room.emit("disconnected", rtc.DisconnectReason.SERVER_SHUTDOWN)
        case "crash":
            with pytest.raises(ValueError, match="of the test"):
                await scene.job.run(fail())
    scene.job.delete_room()
    scene.job.end_session()
    await asyncio.sleep(0.01)
    assert scene.count("ended") == 0


async def test_own_end_outlives_dismissal_without_successor(scene: ShutdownScene) -> None:
    async def entry() -> None:
        saved.set()
        await asyncio.Event().wait()

    saved = asyncio.Event()
    running = asyncio.create_task(scene.job.run(entry()))
    await asyncio.wait_for(saved.wait(), DEADLINE)
    scene.job.end_session()
    scene.dismissal.set_result(Dismissal.LEAVE)
    await scene.until(lambda: scene.count("dismissed") > 0)
    await scene.until(lambda: bool(scene.shutdowns))
    assert not running.done(), "the entry point has its own time to end"
    running.cancel()


async def test_entry_point_leaves_half_of_the_time_to_callbacks() -> None:
    scene = ShutdownScene(shutdown_seconds=0.02)
    scene.job.end_session()
    await asyncio.wait_for(scene.job.run(asyncio.Event().wait()), DEADLINE)  # type: ignore[arg-type]
    await scene.job.close()


async def test_failing_callback_ends_no_other_callback(scene: ShutdownScene, caplog: pytest.LogCaptureFixture) -> None:
    async def exits() -> None:
        raise SystemExit(1)

    async def last(reason: str) -> None:
        await asyncio.sleep(0.01)
        scene.steps.append(reason)

    context: Any = scene
    for callback in (fail, exits, last, scene.job.close):
        context.add_shutdown_callback(callback)
    await asyncio.wait_for(scene.run_callbacks(), DEADLINE)
    assert scene.steps == ["over"]
    await scene.until(lambda: scene.exits == [0])
    assert scene.count("background_cancelled") == 1
    assert [vars(r)["reason"] for r in caplog.records if vars(r).get("event") == "callback_failed"] == [
        "ValueError",
        "SystemExit",
    ]
