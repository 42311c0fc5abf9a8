"""Letta's directory against a small server that answers as Letta does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_operator.clients.letta import LettaDirectory
from voicesession_operator.domain.agent_plan import Invalid, NotConfigured, Resolved, Unavailable

from tests.support import operator_objects
from tests.support.metric_changes import counted

Object = dict[str, Any]

BLOCKS = [{"label": "human", "value": "unknown"}]


class Letta:
    """Agents by tag, in the order they were made."""

    def __init__(self) -> None:
        self.agents: list[Object] = []
        self.status = 200

    async def answer(self, request: web.Request) -> web.Response:
        if self.status != 200:
            return web.json_response({"detail": "no"}, status=self.status)
        if request.method == "POST":
            body = await request.json()
            self.agents.append({"id": f"agent-{len(self.agents)}", **body})
            return web.json_response(self.agents[-1])
        wanted = set(request.query.getall("tags", []))
        return web.json_response([made for made in self.agents if wanted <= set(made["tags"])])


@asynccontextmanager
async def directory(letta: Letta, model: str = "openai/x") -> AsyncIterator[LettaDirectory]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", letta.answer)
    async with TestServer(app) as server:
        made = LettaDirectory(str(server.make_url("")), "key", model, "", "installation-1")
        yield made
        await made.close()


def agent(namespace: str = "default", **memory: Any) -> VoiceAgent:
    given = operator_objects.agent(spec={"memory": {"letta": {"scope": "User", "blocks": BLOCKS, **memory}}})
    given["metadata"]["namespace"] = namespace
    return VoiceAgent.parse(given)


async def test_each_user_of_each_agent_has_one_of_their_own() -> None:
    letta = Letta()
    async with directory(letta) as found:
        asked = [(agent(), "alice"), (agent(), "bob"), (agent("other"), "alice"), (agent(), "alice")]
        answers = [await found.resolve_user(*who) for who in asked]
        shared = await found.resolve(agent())
    assert answers == [Resolved("agent-0"), Resolved("agent-1"), Resolved("agent-2"), Resolved("agent-0")]
    assert shared == Resolved("agent-3")
    assert letta.agents[0]["tags"] == ["voicesession:installation-1:default/agent-66/alice"]
    assert letta.agents[0]["memory_blocks"] == BLOCKS


async def test_the_agents_own_name_and_id_are_not_the_users() -> None:
    letta = Letta()
    async with directory(letta) as found:
        for memory in ({"agent": "Agent_66"}, {"agentID": "agent-7"}):
            assert await found.resolve_user(agent(**memory), "alice") == Resolved("agent-0")


async def test_a_user_with_odd_letters_gets_a_name_that_letta_takes() -> None:
    letta = Letta()
    async with directory(letta) as found:
        await found.resolve_user(agent(), "alice/../" + "é@" * 200)
    assert letta.agents[0]["name"].startswith("default-agent-66-alice-")
    assert len(letta.agents[0]["name"]) <= 200


@pytest.mark.parametrize(("status", "kind"), [(500, Unavailable), (401, Unavailable), (422, Invalid)])
async def test_failures_are_answers(status: int, kind: type) -> None:
    letta = Letta()
    letta.status = status
    async with directory(letta) as found:
        assert isinstance(await found.resolve_user(agent(), "alice"), kind)
        assert isinstance(await found.resolve(agent()), kind)


async def test_where_there_is_no_letta_or_no_model() -> None:
    async with directory(Letta(), model="") as found:
        assert isinstance(await found.resolve_user(agent(), "alice"), Invalid)
    nowhere = LettaDirectory("", "", "", "", "installation-1")
    assert await nowhere.resolve_user(agent(), "alice") == NotConfigured()
    assert await nowhere.resolve(VoiceAgent.parse(operator_objects.agent())) == NotConfigured()


async def test_every_look_up_is_timed_by_its_answer() -> None:
    letta = Letta()
    with counted() as rise:
        async with directory(letta) as found:
            await found.resolve(agent())
            letta.status = 503
            await found.resolve_user(agent(), "alice")
    name = "voicesession_letta_request_seconds_count"
    assert rise.of(name, call="find_agent", outcome="resolved") == 1
    assert rise.of(name, call="find_user", outcome="unavailable") == 1
