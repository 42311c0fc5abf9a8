"""Fixtures: one fake API server, and gateways that use it, called over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestClient, TestServer
from voicesession_common.api import constants
from voicesession_common.tracing import Tracing
from voicesession_gateway.app import Gateway, GatewayTimings
from voicesession_gateway.settings import GatewaySettings

from tests.support import gateway_objects
from tests.support.fakes import api_server
from tests.support.fakes.api_server import FakeApiServer
from tests.support.gateway_client import Client, until

Start = Callable[..., Awaitable[Client]]

TIMINGS = GatewayTimings()
SECRET = "a secret of thirty-two characters"  # noqa: S105
ENVIRONMENT = {
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
async def api() -> FakeApiServer:
    """Return a fake API server with one VoiceAgent, agent-66."""
    server = FakeApiServer()
    await server.put(constants.AGENTS, gateway_objects.agent())
    return server


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


@pytest.fixture
async def start(api: FakeApiServer, tracing: Tracing) -> AsyncIterator[Start]:
    """Return a function that starts a gateway with the given variables and waits for its first list."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(api_server.serving(api))

        async def start_gateway(wait: bool = True, timings: GatewayTimings = TIMINGS, **variables: str) -> Client:
            kube = await stack.enter_async_context(api_server.client(url))
            gateway = Gateway(GatewaySettings.from_env(ENVIRONMENT | variables), kube, tracing, timings)
            tasks = [asyncio.create_task(informer.run()) for informer in gateway.informers]
            stack.push_async_callback(_cancel, *tasks)
            client = await stack.enter_async_context(TestClient(TestServer(gateway.app)))
            if wait:
                await until(lambda: _is_ready(client))
            return client

        yield start_gateway


async def _is_ready(client: Client) -> bool:
    return bool((await client.get("/readyz")).status == 200)


async def _cancel(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
