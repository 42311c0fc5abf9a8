"""A local server that stores agents and blocks as Letta does, and its client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from voicesession_common import JsonObject
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_operator.clients.letta import LettaDirectory

from tests.support import operator_objects
from tests.support.builders import T0
from tests.support.http_server import serving

BLOCKS = [{"label": "human", "value": "unknown"}]
ALICE = "voicesession:installation-1:default/agent-66/alice"
USERS = "voicesession-users:installation-1"
NAMESPACE = "voicesession-namespace:installation-1:default"
HOUR = 3600.0


class FakeLetta:
    """Agents in the order of their creation, and their blocks, which outlive a deleted agent."""

    def __init__(self) -> None:
        self.agents: list[JsonObject] = []
        self.blocks: dict[str, set[str]] = {}
        """The agents of each block."""
        self.created = 0
        self.now = T0
        self.status = 200
        self.failing = ""
        """The only method that fails with `status`; empty for all."""
        self.page = b""
        """An answer of another program, if not empty."""
        self.ignores_tags = False

    def add(self, *tags: str, name: str = "x", **fields: Any) -> str:
        """Create an agent with one block, and return its ID."""
        agent_id, block_id = f"agent-{self.created}", f"block-{self.created}"
        self.created += 1
        self.agents.append({"id": agent_id, "name": name, "tags": [*tags], "blocks": [{"id": block_id}], **fields})
        self.blocks[block_id] = {agent_id}
        return agent_id

    async def answer(self, request: web.Request) -> web.Response:
        if self.page:
            return web.Response(body=self.page, content_type="application/json")
        if self.status != 200 and self.failing in ("", request.method):
            return web.json_response({"detail": "no"}, status=self.status)
        body = await request.json() if request.method in ("POST", "PATCH") else {}
        return web.json_response(self._answer(request, request.path.strip("/").split("/")[1:], body))

    def _answer(self, request: web.Request, path: list[str], body: JsonObject) -> Any:
        match request.method, *path:
            case "POST", "agents":
                self.add(*body.pop("tags"), **body)
                return self.agents[-1]
            case "GET", "agents":
                return self._list(request)
            case "GET", "blocks", block_id, "agents":
                return [{"id": agent_id} for agent_id in self.blocks[block_id]]
            case "DELETE", "blocks", block_id:
                return self.blocks.pop(block_id) and {}
            case method, "agents", agent_id:
                return self._single(method, agent_id, body, request.query.getall("include", []))
        raise AssertionError(request.path)

    def _single(self, method: str, agent_id: str, body: JsonObject, include: list[str]) -> JsonObject:
        found = next((agent for agent in self.agents if agent["id"] == agent_id), None)
        if found is None:
            raise web.HTTPNotFound(text="{}", content_type="application/json")
        if method == "DELETE":
            self.agents.remove(found)
        found |= body
        return _shown(found, include)

    def _list(self, request: web.Request) -> list[JsonObject]:
        tags, name, after = set(request.query.getall("tags", [])), request.query.get("name"), request.query.get("after")
        found = [agent for agent in self.agents if not tags or self.ignores_tags or tags & set(agent["tags"])]
        found = [agent for agent in found if name in (None, agent["name"])]
        ids = [agent["id"] for agent in found]
        start = ids.index(after) + 1 if after in ids else 0
        page = found[start : start + int(request.query.get("limit", 50))]
        return [_shown(agent, request.query.getall("include", [])) for agent in page]


def _shown(agent: JsonObject, include: list[str]) -> JsonObject:
    """Return the agent with the relations that the request asks for, as Letta does."""
    return agent | {name: [] for name in ("tags", "blocks") if f"agent.{name}" not in include}


@asynccontextmanager
async def letta_directory(
    letta: FakeLetta, model: str = "openai/x", *, allow_untagged: bool = False
) -> AsyncIterator[LettaDirectory]:
    async with serving(letta.answer) as server:
        url = str(server.make_url(""))
        directory = LettaDirectory(
            url,
            "key",
            model,
            "",
            "installation-1",
            allow_untagged=allow_untagged,
            clock=lambda: letta.now,
            connect_seconds=5.0,
        )
        yield directory
        await directory.close()


def voice_agent(namespace: str = "default", **memory: Any) -> VoiceAgent:
    raw = operator_objects.agent(spec={"memory": {"letta": {"blocks": BLOCKS, **memory}}})
    raw["metadata"]["namespace"] = namespace
    return VoiceAgent.parse(raw)
