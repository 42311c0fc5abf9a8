"""Requests to a gateway, and a stand-in for the operator."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp.test_utils import TestClient

from tests.support import gateway_objects
from tests.support.fakes.api_server import FakeApiServer

Client = TestClient[Any, Any]

SOON = 30.0


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Any

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])


async def call_api(client: Client, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.request(method, path, json=body, headers=given) as response:
        text = await response.text()
        is_json = response.content_type == "application/json"
        return Answer(response.status, json.loads(text) if is_json else text, response.headers)


async def request_token(client: Client, body: Any = None, **headers: str) -> Answer:
    """Request a token; the default body asks for agent-66."""
    agent = {"room_config": {"agents": [{"agent_name": "agent-66"}]}}
    return await call_api(client, "POST", "/token", agent if body is None else body, **headers)


async def wait_for_sessions(api: FakeApiServer, count: int = 1) -> list[str]:
    """Wait until `count` sessions exist and return their names."""
    await until(lambda: len(api.sessions) >= count)
    return list(api.sessions)


async def until(check: Callable[[], bool | Awaitable[bool]]) -> None:
    """Poll until the check is true. Raises TimeoutError."""
    async with asyncio.timeout(SOON):
        while True:
            answer = check()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.002)


class FakeOperator:
    """Stand-in for the operator: makes every session Ready until the block ends."""

    def __init__(self, api: FakeApiServer) -> None:
        self._api = api

    async def __aenter__(self) -> "FakeOperator":
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            for name, session in list(self._api.sessions.items()):
                if not session.get("status") and name in self._api.sessions:
                    await self._api.status(name, gateway_objects.ready())
            await asyncio.sleep(0.002)
