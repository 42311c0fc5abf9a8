"""Fixtures: one fake API server, and gateways that use it, called over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestClient, TestServer
from voicesession_common.api import constants
from voicesession_common.tracing import Tracing
from voicesession_gateway.app import Gateway
from voicesession_gateway.settings import GatewaySettings

from tests.support import gateway_objects
from tests.support.fakes import api_server
from tests.support.fakes.api_server import Cluster
from tests.support.gateway_client import Client, until

Start = Callable[..., Awaitable[Client]]

SECRET = "a secret of thirty-two characters"  # noqa: S105
ENOUGH = {
    "NAMESPACE": "voice",
    "LIVEKIT_PUBLIC_URL": "wss://livekit.example",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": SECRET,
    "AUTH_MODE": "none",
    "CALLER_REQUESTS_PER_SECOND": "1000",
    "CALLER_BURST": "1000",
    "USER_BURST": "100",
}


@pytest.fixture
async def api() -> Cluster:
    """Return a fake API server with one VoiceAgent, agent-66."""
    made = Cluster()
    await made.put(constants.AGENTS, gateway_objects.agent())
    return made


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


@pytest.fixture
async def start(api: Cluster, tracing: Tracing) -> AsyncIterator[Start]:
    """Return a function that starts a gateway with the given variables and waits for its first list."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(api_server.serving(api))

        async def begin(wait: bool = True, **variables: str) -> Client:
            kube = await stack.enter_async_context(api_server.client(url))
            gateway = Gateway(GatewaySettings.from_env(ENOUGH | variables), kube, tracing)
            watching = [asyncio.create_task(watch.run()) for watch in gateway.informers]
            stack.push_async_callback(_cancel, *watching)
            made = await stack.enter_async_context(TestClient(TestServer(gateway.app)))
            if wait:
                await until(lambda: _is_ready(made))
            return made

        yield begin


async def _is_ready(client: Client) -> bool:
    return bool((await client.get("/readyz")).status == 200)


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
