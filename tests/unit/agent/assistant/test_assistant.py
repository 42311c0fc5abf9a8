"""The built-in assistant between two turns, and what it can be asked to remember."""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest
from livekit.agents import ToolError, llm
from voicesession_agent.assistant import assistant as assistant_module
from voicesession_agent.assistant.assistant import MODELS, Assistant, remember_tool
from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.job.supervisor_client import JobFacts
from voicesession_agent.memory.backend import Block, digest
from voicesession_agent.settings import AgentSpec, Settings

from tests.support.fakes.room import FakeAgentSession, FakeRoom


def facts(value: str = "", remembers: bool = False, idle_seconds: float = 0.0) -> JobFacts:
    blocks = (Block("human", value),)
    return JobFacts(frozenset(), digest(blocks), blocks, remembers, idle_seconds)


class Link:
    def __init__(self) -> None:
        self.facts = facts()
        self.away = False
        self.fault = ""
        self.remembered: list[str] = []

    async def job(self) -> JobFacts:
        if self.away:
            raise aiohttp.ClientConnectionError
        return self.facts

    async def remember(self, fact: str) -> str:
        if self.away:
            raise TimeoutError
        self.remembered.append(fact)
        return self.fault


class Scene:
    def __init__(self, first: JobFacts) -> None:
        self.link = Link()
        link: Any = self.link
        self.idle = IdleMonitor(lambda: None, 0.0)
        spec = AgentSpec(instructions="Be brief.", idle_prompt="Are you there?")
        self.assistant = Assistant(spec, link, first, self.idle)

    async def turn(self) -> str:
        """The instructions that the answer to the next turn is given with."""
        context = llm.ChatContext.empty()
        context.add_message(role="system", content="Be brief.", id="lk.agent_task.instructions")
        message = llm.ChatMessage(role="user", content=["hello"])
        await self.assistant.on_user_turn_completed(context, message)
        return "".join(item.text_content or "" for item in context.items if isinstance(item, llm.ChatMessage))

    def tools(self) -> list[str]:
        return [tool.id for tool in self.assistant.tools]


@pytest.fixture
def scene() -> Scene:
    return Scene(facts())


async def test_a_block_edited_between_two_turns_is_in_the_next_answer(scene: Scene) -> None:
    scene.link.facts = facts("Likes blue.")
    assert "<value>Likes blue.</value>" in await scene.turn()
    assert "Likes blue." in scene.assistant.instructions


async def test_a_supervisor_that_is_away_costs_no_answer(scene: Scene) -> None:
    scene.link.away = True
    assert await scene.turn() == "Be brief."


async def test_remembering_is_offered_while_memory_is_there(scene: Scene) -> None:
    assert scene.tools() == []
    scene.link.facts = facts(remembers=True)
    await scene.turn()
    assert scene.tools() == ["remember"]
    scene.link.facts = facts()
    await scene.turn()
    assert scene.tools() == []
    assert Scene(facts(remembers=True)).tools() == ["remember"]


async def test_a_limit_that_was_changed_counts_from_the_next_turn(scene: Scene) -> None:
    scene.link.facts = facts(idle_seconds=60.0)
    await scene.turn()
    assert scene.idle._seconds == 60.0


async def test_a_session_is_watched_from_before_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = FakeAgentSession()
    attended: list[str] = []
    started = asyncio.Event()

    async def start(*_: Any, **__: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    session.start = start
    monkeypatch.setattr(assistant_module, "make_session", lambda *_: session)
    monkeypatch.setattr(Settings, "load", lambda: SimpleNamespace(agent=AgentSpec(instructions="Be brief.")))
    signs = SimpleNamespace(attend=lambda _, linked, __: attended.append(linked()))
    services: Any = SimpleNamespace(link=Link(), presence=Mock(), signs=signs, departures=Mock())
    ctx: Any = SimpleNamespace(proc=SimpleNamespace(userdata={MODELS: {}}), connect=AsyncMock(), room=FakeRoom())
    running = asyncio.create_task(assistant_module.run(ctx, services))
    await asyncio.wait_for(started.wait(), 5.0)
    assert attended == [""]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_the_model_is_told_of_a_fact() -> None:
    link = Link()
    anything: Any = link
    tool = remember_tool(anything)
    assert await tool(fact="The user's dog is Rex.") == "Remembered."
    assert link.remembered == ["The user's dog is Rex."]
    link.fault = "memory is full"
    with pytest.raises(ToolError, match="Error: not remembered, memory is full"):
        await tool(fact="x")
    link.away = True
    with pytest.raises(ToolError, match="memory does not answer"):
        await tool(fact="x")


def test_the_model_learns_what_a_fact_is() -> None:
    anything: Any = Link()
    schema = llm.utils.build_legacy_openai_schema(remember_tool(anything))
    assert list(schema["function"]["parameters"]["properties"]) == ["fact"]
