"""One cluster, and gateways in front of it that are spoken to over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestClient, TestServer
from voicesession_operator.api import names
from voicesession_operator.gateway.app import Gateway
from voicesession_operator.gateway.settings import Settings
from voicesession_operator.telemetry.tracing import Tracing

from tests.unit.gateway import cluster, raw
from tests.unit.gateway.asking import Client, until
from tests.unit.gateway.cluster import Cluster

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
    """With one VoiceAgent, agent-66."""
    made = Cluster()
    await made.put(names.AGENTS, raw.agent())
    return made


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


@pytest.fixture
async def start(api: Cluster, tracing: Tracing) -> AsyncIterator[Start]:
    """Start a gateway with these variables; it knows the cluster when it is returned."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(cluster.serving(api))

        async def begin(wait: bool = True, **variables: str) -> Client:
            kube = await stack.enter_async_context(cluster.client(url))
            gateway = Gateway(Settings.from_env(ENOUGH | variables), kube, tracing)
            watching = [asyncio.create_task(watch.run()) for watch in gateway.watches]
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
