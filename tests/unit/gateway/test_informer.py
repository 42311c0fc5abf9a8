"""The informer survives empty watches and malformed objects."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from voicesession_common.kube_client import AGENTS, SESSIONS
from voicesession_gateway.informer import EMPTY_WATCH_SECONDS, StoreInformer
from voicesession_gateway.session_store import AgentStore, SessionStore

from tests.support import gateway_objects

Event = tuple[str, dict[str, Any]]


class ScriptedWatches:
    """An API server whose watches return the given events in order, and then stay silent."""

    def __init__(self, listed: list[dict[str, Any]], *watches: list[Event]) -> None:
        self.listed, self.informers, self.versions = listed, list(watches), list[str]()
        self.silent = asyncio.Event()

    async def list(self, *_: object) -> tuple[list[dict[str, Any]], str]:
        return self.listed, "1"

    async def watch(self, _resource: object, _namespace: str, version: str, _selector: str) -> AsyncIterator[Event]:
        self.versions.append(version)
        if not self.informers:
            self.silent.set()
            await asyncio.Event().wait()
        for event in self.informers.pop(0):
            yield event


async def run(api: Any, resource: Any, store: Any) -> list[float]:
    """Run until all events are delivered; return the pauses."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    running = asyncio.create_task(StoreInformer(api, resource, "voice", store, sleep=sleep).run())
    finished, _ = await asyncio.wait(
        {running, asyncio.create_task(api.silent.wait())}, timeout=5, return_when=asyncio.FIRST_COMPLETED
    )
    running.cancel()
    (ended_error,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(ended_error, asyncio.CancelledError), ended_error
    assert finished
    return pauses


async def test_informer_after_empty_watch_pauses() -> None:
    api = ScriptedWatches(
        [], [], [("ADDED", gateway_objects.agent(version=2))], [("BOOKMARK", gateway_objects.agent(version=3))], []
    )
    assert await run(api, AGENTS, AgentStore()) == [EMPTY_WATCH_SECONDS] * 2
    assert api.versions == ["1", "1", "2", "3", "3"]


async def test_informer_skips_malformed_agent(caplog: pytest.LogCaptureFixture) -> None:
    agents = AgentStore()
    broken = gateway_objects.agent("broken") | {"spec": None}
    await run(
        ScriptedWatches(
            [broken, gateway_objects.agent("fine")], [("ADDED", broken), ("ADDED", gateway_objects.agent("later", 2))]
        ),
        AGENTS,
        agents,
    )
    assert [agent.name for agent in agents.all()] == ["fine", "later"]
    assert agents.synced
    assert [record.__dict__["object"] for record in caplog.records] == ["broken", "broken"]


async def test_informer_keeps_last_valid_session_when_malformed() -> None:
    sessions = SessionStore(lambda _: None)
    broken = gateway_objects.session("call-a", 2, status={"conditions": "none"})
    await run(
        ScriptedWatches(
            [gateway_objects.session("call-a")], [("MODIFIED", broken), ("ADDED", gateway_objects.session("call-b", 3))]
        ),
        SESSIONS,
        sessions,
    )
    assert [record.name for record in sessions.of_caller(gateway_objects.CALLER)] == ["call-a", "call-b"]


async def test_informer_after_an_unexpected_error_lists_again() -> None:
    unversioned = gateway_objects.agent()
    del unversioned["metadata"]["resourceVersion"]
    api = ScriptedWatches([], [("ADDED", unversioned)])
    assert len(await run(api, AGENTS, AgentStore())) == 1
    assert api.versions == ["1", "1"]
