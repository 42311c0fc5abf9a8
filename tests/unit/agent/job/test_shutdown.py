"""A job's way out, with livekit-agents' own session and a tool that takes its time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, function_tool, llm
from voicesession_agent.job import shutdown as departure_module
from voicesession_agent.job.shutdown import JobShutdown
from voicesession_agent.job.supervisor_client import Dismissal

from tests.support.fakes.room import FakeAgentSession, FakeRoom

DEADLINE = 5.0


class Caller(llm.LLM[Any]):
    """A model that calls the tool `slow` and has nothing more to say."""

    def chat(self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        return Calling(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options or APIConnectOptions())


class Calling(llm.LLMStream):
    async def _run(self) -> None:
        call = llm.FunctionToolCall(name="slow", arguments="{}", call_id="call_1")
        delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class Scene:
    """The context, link and presence of one job."""

    def __init__(self) -> None:
        self.room = FakeRoom()
        self.order: asyncio.Future[Dismissal] = asyncio.get_running_loop().create_future()
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.shutdowns: list[str] = []
        self.steps: list[str] = []
        self._primary_agent_session: Any = None
        scene: Any = self
        self.departures = JobShutdown(scene, scene, scene)

    async def departure(self) -> Dismissal:
        return await self.order

    def shutdown(self, reason: str) -> None:
        self.shutdowns.append(reason)

    def report(self, kind: str, **facts: Any) -> None:
        self.reports.append((kind, facts))

    def disconnected(self, reason: Any) -> None:
        self.report("gone")

    def step(self, name: str) -> Callable[[], Awaitable[None]]:
        async def take() -> None:
            self.steps.append(name)

        return take

    async def told(self, departure: Dismissal) -> dict[str, Any]:
        """What is reported of the background once it has ended."""
        self.order.set_result(departure)
        async with asyncio.timeout(DEADLINE):
            while not self.reports or (departure is Dismissal.LEAVE and not self.shutdowns):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        return self.reports[-1][1]


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(departure_module, "LINGER_SECONDS", 3600.0)
    made = Scene()
    yield made
    await made.departures.close()
    if made.departures._last is not None:
        made.departures._last.cancel()


async def test_make_way_ends_everything_in_order_and_stays_in_the_room(scene: Scene) -> None:
    session = scene._primary_agent_session = FakeAgentSession()
    scene.departures.before_closing(scene.step("idle monitor"))
    scene.departures.after_closing(scene.step("last turn"))
    reported = await scene.told(Dismissal.RESET)
    assert (session.audio, session.closed) == ([False], 1)
    assert scene.steps == ["idle monitor", "last turn"]
    assert (scene.room.disconnects, scene.shutdowns) == (0, [])
    assert scene.reports[0][0] == "background_cancelled"
    assert (reported["tools"], reported["ms"]) == (0, pytest.approx(0, abs=500))


async def test_leaving_goes_out_of_the_room_first(scene: Scene) -> None:
    await scene.told(Dismissal.LEAVE)
    assert (scene.room.disconnects, scene.shutdowns) == (1, ["told to leave"])


async def test_a_supervisor_that_is_gone_is_an_order_to_leave(scene: Scene) -> None:
    scene.order.set_exception(aiohttp.ClientConnectionError())
    async with asyncio.timeout(DEADLINE):
        while not scene.shutdowns:  # noqa: ASYNC110 - the code under test tells nobody
            await asyncio.sleep(0.001)


async def test_an_entry_point_is_cancelled_and_may_clean_up(scene: Scene) -> None:
    async def entry() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            scene.steps.append("cleaned up")

    running = asyncio.create_task(scene.departures.during(entry()))
    await asyncio.sleep(0)
    await scene.told(Dismissal.RESET)
    await asyncio.wait_for(running, DEADLINE)
    assert scene.steps == ["cleaned up"]


async def test_an_entry_point_that_fails_is_reported(scene: Scene) -> None:
    async def entry() -> None:
        raise RuntimeError("secret")

    async def refused() -> None:
        raise rtc.ConnectError("404")

    with pytest.raises(RuntimeError):
        await scene.departures.during(entry())
    with pytest.raises(rtc.ConnectError):
        await scene.departures.during(refused())
    assert scene.reports == [("trouble", {"text": "the agent's entry point failed: RuntimeError"})]


async def test_steps_that_hang_or_fail_do_not_hold_the_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError

    monkeypatch.setattr(departure_module, "STEP_SECONDS", 0.01)
    for step in (hang, fail, scene.step("last")):
        scene.departures.before_closing(step)
    await scene.told(Dismissal.RESET)
    assert scene.steps == ["last"]
    named = [(vars(r)["event"], vars(r)["step"].rpartition(".")[2]) for r in caplog.records]
    assert named == [("late", "hang"), ("departure_failed", "fail")]


async def test_a_job_that_ends_without_an_order_takes_its_steps_too(scene: Scene) -> None:
    scene.departures.before_closing(scene.step("idle monitor"))
    scene.departures.after_closing(scene.step("last turn"))
    await scene.departures.close()
    assert scene.steps == ["idle monitor", "last turn"]
    assert [kind for kind, _ in scene.reports] == ["background_cancelled"]


async def test_the_end_after_an_order_takes_no_step_again(scene: Scene) -> None:
    scene.departures.after_closing(scene.step("last turn"))
    await scene.told(Dismissal.RESET)
    await scene.departures.close()
    assert scene.steps == ["last turn"]


async def test_a_running_tool_is_cancelled_and_the_session_closes(scene: Scene) -> None:
    running, ended = asyncio.Event(), asyncio.Event()

    @function_tool
    async def slow() -> str:
        """Takes half a minute."""
        running.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()
        return "done"

    session: AgentSession[None] = AgentSession(llm=Caller())
    await session.start(Agent(instructions="Call it.", tools=[slow]))
    scene._primary_agent_session = session
    session.generate_reply(user_input="Please.")
    await asyncio.wait_for(running.wait(), DEADLINE)
    started = time.monotonic()
    reported = await scene.told(Dismissal.RESET)
    assert reported["tools"] == 1
    assert time.monotonic() - started < 1.5
    assert ended.is_set()
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("tool_exec_")]
    assert not session._started
