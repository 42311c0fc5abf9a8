"""A watch goes on for ever: neither silence nor an object that nobody can read stops it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from voicesession_common.kube_client import AGENTS, SESSIONS
from voicesession_gateway.informer import SILENT_SECONDS, Watch
from voicesession_gateway.session_store import Agents, Sessions

from tests.support import gateway_objects

Event = tuple[str, dict[str, Any]]


class Told:
    """An API server whose watches say these, one after the other, and then nothing more."""

    def __init__(self, listed: list[dict[str, Any]], *watches: list[Event]) -> None:
        self.listed, self.watches, self.asked = listed, list(watches), list[str]()
        self.silent = asyncio.Event()

    async def list(self, *_: object) -> tuple[list[dict[str, Any]], str]:
        return self.listed, "1"

    async def watch(self, _resource: object, _namespace: str, version: str, _selector: str) -> AsyncIterator[Event]:
        self.asked.append(version)
        if not self.watches:
            self.silent.set()
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            yield event


async def run(told: Any, resource: Any, mirror: Any) -> list[float]:
    """Until all is told; the pauses meanwhile."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    running = asyncio.create_task(Watch(told, resource, "voice", mirror, sleep=sleep).run())
    finished, _ = await asyncio.wait(
        {running, asyncio.create_task(told.silent.wait())}, timeout=5, return_when=asyncio.FIRST_COMPLETED
    )
    running.cancel()
    (ended,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
    assert finished
    return pauses


async def test_after_a_watch_that_ended_without_a_word_there_is_a_pause() -> None:
    told = Told(
        [], [], [("ADDED", gateway_objects.agent(version=2))], [("BOOKMARK", gateway_objects.agent(version=3))], []
    )
    assert await run(told, AGENTS, Agents()) == [SILENT_SECONDS] * 2
    assert told.asked == ["1", "1", "2", "3", "3"]


async def test_an_agent_that_nobody_can_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    agents = Agents()
    broken = gateway_objects.agent("broken") | {"spec": None}
    await run(
        Told(
            [broken, gateway_objects.agent("fine")], [("ADDED", broken), ("ADDED", gateway_objects.agent("later", 2))]
        ),
        AGENTS,
        agents,
    )
    assert [agent.name for agent in agents.all()] == ["fine", "later"]
    assert agents.synced
    assert [record.__dict__["object"] for record in caplog.records] == ["broken", "broken"]


async def test_a_session_that_nobody_can_read_any_more_stays_as_it_was() -> None:
    sessions = Sessions(lambda _: None)
    broken = gateway_objects.session("call-a", 2, status={"conditions": "none"})
    await run(
        Told(
            [gateway_objects.session("call-a")], [("MODIFIED", broken), ("ADDED", gateway_objects.session("call-b", 3))]
        ),
        SESSIONS,
        sessions,
    )
    assert [record.name for record in sessions.of(gateway_objects.CALLER)] == ["call-a", "call-b"]
