"""The built-in assistant between two turns, and the start of its session."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest
from livekit.agents import StopResponse, llm
from voicesession_agent.assistant.assistant import MODELS, Assistant, People, run
from voicesession_agent.assistant.idle_prompt import IdleMonitor
from voicesession_agent.assistant.speaker_selection import Audience
from voicesession_agent.memory.backend import Block, digest
from voicesession_agent.protocol import JobFacts
from voicesession_agent.settings import AgentSpec

from tests.support.fakes.room import FakeAgentSession, FakeRoom
from tests.support.fakes.timers import FakeTimers


def facts(value: str = "", remembers: bool = False, idle_seconds: float = 0.0, recalls: bool = False) -> JobFacts:
    blocks = (Block("human", value),)
    return JobFacts(frozenset(), digest(blocks), blocks, remembers, idle_seconds, recalls=recalls)


class FakeClient:
    """A supervisor that answers with `facts`."""

    def __init__(self) -> None:
        self.facts = facts()
        self.fault: Exception | None = None

    async def job_facts(self) -> JobFacts:
        if self.fault is not None:
            raise self.fault
        return self.facts


class AssistantScene:
    def __init__(self, first: JobFacts) -> None:
        self.client = FakeClient()
        client: Any = self.client
        self.timers = FakeTimers()
        self.idle = IdleMonitor(lambda: None, 0.0, self.timers.call_later)
        spec = AgentSpec(instructions="Be brief.", idle_prompt="Are you there?")
        self.room, self.waited = FakeRoom(), list[str]()
        self.speaker = ""
        room: Any = self.room
        people = People(room, cast("Audience", SimpleNamespace(wait=self.wait)), lambda: self.speaker)
        self.assistant = Assistant(spec, client, first, self.idle, people, Mock(), Mock())
        self.heard = llm.ChatMessage(role="user", content=["hello"])

    async def wait(self, identity: str) -> None:
        self.waited.append(identity)

    async def complete_turn(self) -> str:
        """Complete a user's turn; return the instructions of the answer to it."""
        context = llm.ChatContext.empty()
        context.add_message(role="system", content="Be brief.", id="lk.agent_task.instructions")
        await self.assistant.on_user_turn_completed(context, self.heard)
        return "".join(item.text_content or "" for item in context.items if isinstance(item, llm.ChatMessage))

    def tools(self) -> list[str]:
        return [tool.id for tool in self.assistant.tools]


@pytest.fixture
def scene() -> AssistantScene:
    return AssistantScene(facts())


async def test_changed_block_is_in_next_answer(scene: AssistantScene) -> None:
    scene.client.facts = facts("Likes blue.")
    assert "<value>Likes blue.</value>" in await scene.complete_turn()
    assert "Likes blue." in scene.assistant.instructions


@pytest.mark.parametrize("fault", [aiohttp.ClientConnectionError(), TimeoutError(), KeyError("memory"), ValueError()])
async def test_supervisor_without_usable_answer_keeps_instructions(scene: AssistantScene, fault: Exception) -> None:
    scene.client.fault = fault
    assert await scene.complete_turn() == "Be brief."


async def test_malformed_block_keeps_instructions(scene: AssistantScene) -> None:
    good, broken = facts("Likes blue."), Block("human", cast("str", None))
    scene.client.facts = replace(good, blocks=(broken,))
    assert await scene.complete_turn() == "Be brief."
    scene.client.facts = good
    assert "Likes blue." in await scene.complete_turn()


async def test_memory_tools_are_offered_while_memory_is_writable(scene: AssistantScene) -> None:
    assert scene.tools() == []
    scene.client.facts = facts(remembers=True)
    await scene.complete_turn()
    assert scene.tools() == ["remember", "forget"]
    scene.client.facts = facts(remembers=True, recalls=True)
    await scene.complete_turn()
    assert scene.tools() == ["remember", "forget", "recall"]
    scene.client.facts = facts()
    await scene.complete_turn()
    assert scene.tools() == []
    assert AssistantScene(facts(remembers=True)).tools() == ["remember", "forget"]


async def test_changed_idle_limit_applies_from_next_turn(scene: AssistantScene) -> None:
    scene.idle.set_human_present(True)
    assert scene.timers.pending == []
    scene.client.facts = facts(idle_seconds=60.0)
    await scene.complete_turn()
    assert scene.timers.pending == [30.0]


async def test_spoken_turn_names_speaker_among_several_humans(scene: AssistantScene) -> None:
    scene.room.join("alice")
    scene.speaker = "alice"
    await scene.complete_turn()
    assert scene.heard.text_content == "hello"
    scene.room.join("bob")
    await scene.complete_turn()
    assert scene.heard.text_content == "[alice] hello"
    assert scene.waited == ["alice", "alice"]


async def test_third_echo_of_agent_is_not_answered(scene: AssistantScene) -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello there.")
    context.add_message(role="assistant", content="Nice to meet you, Alice.")
    heard = llm.ChatMessage(role="user", content=["nice to meet you alice"])
    for _ in range(2):
        await scene.assistant.on_user_turn_completed(context, heard)
    with pytest.raises(StopResponse):
        await scene.assistant.on_user_turn_completed(context, heard)


async def test_spoken_turn_of_absent_speaker_has_no_name(scene: AssistantScene) -> None:
    scene.room.join("alice")
    scene.room.join("bob")
    scene.speaker = "carol"
    await scene.complete_turn()
    assert scene.heard.text_content == "hello"


async def test_session_with_hanging_start_fails() -> None:
    session: Any = FakeAgentSession()

    async def start(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    session.start = start
    services: Any = SimpleNamespace(supervisor=FakeClient(), reporter=Mock(), health=Mock(), shutdown=Mock())
    ctx: Any = SimpleNamespace(proc=SimpleNamespace(userdata={MODELS: {}}), connect=AsyncMock(), room=FakeRoom())
    with pytest.raises(TimeoutError):
        await run(ctx, services, AgentSpec(instructions="Be brief."), lambda *_: session, start_seconds=0.001)
    services.health.watch_speech.assert_called_once()
