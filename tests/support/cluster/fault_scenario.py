"""A namespace with an operator behind the fault proxy, and queries about their state."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.support.cluster import host_operator, manifests
from tests.support.cluster.fault_proxy import FaultProxy
from tests.support.cluster.host_operator import HostOperator
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import AGENT_POD

T = TypeVar("T")

START_SECONDS = 60
GONE_SECONDS = 60
POLL_SECONDS = 0.1


class FaultScenario:
    """A namespace and its operator.

    Agent pods are never bound, since this machine cannot reach their addresses, and no fault test needs that.
    """

    def __init__(self, kube: Kube, livekit: LiveKit, namespace: str, proxy: FaultProxy, directory: Path) -> None:
        self.kube, self.livekit, self.namespace, self.proxy = kube, livekit, namespace, proxy
        self.log = directory / "operator.log"
        self._directory = directory
        self._operator: HostOperator | None = None

    @asynccontextmanager
    async def operator(
        self, lease_seconds: int = 60, also_watched: tuple[str, ...] = ()
    ) -> AsyncIterator[HostOperator]:
        """Run an operator; may be used several times in sequence."""
        namespaces = (self.namespace, *also_watched)
        arguments = (self.proxy.url, self.livekit, namespaces, self._directory, lease_seconds)
        async with host_operator.running(*arguments) as running:
            self._operator = running
            yield running

    @property
    def process(self) -> HostOperator:
        assert self._operator is not None
        return self._operator

    async def begin(self) -> None:
        await self.do(self.kube.apply, manifests.fake_agent("fake", self.namespace))
        await self.until(self.process.ready, "the operator leads", START_SECONDS)

    async def end(self) -> None:
        """Assert that no room and no pod remains and that a running operator exits with 0."""
        if self.process.process.returncode is not None:
            return
        await self.do(self.kube.run, "delete", "voicesessions", "--all", "-n", self.namespace)
        await self.until(self._is_empty, "no rooms and no pods", GONE_SECONDS)
        assert await self.process.stop() == 0, self.log.read_text()

    async def start(self, *names: str) -> None:
        sessions = (manifests.session(name, self.namespace) for name in names)
        await self.do(self.kube.apply, *sessions)

    async def pods(self) -> list[Json]:
        return await self.do(self.kube.all, "pods", self.namespace, AGENT_POD)

    async def rooms(self) -> list[str]:
        return await self.do(self.livekit.rooms, self.namespace)

    async def sessions_have(self, count: int) -> None:
        """Wait until `count` sessions have exactly one room and one pod each, and a status with the room."""

        async def complete() -> bool:
            assert self.process.process.returncode is None, self.log.read_text()
            found = await self.do(self.kube.all, "voicesessions", self.namespace)
            bound = [raw for raw in found if (raw.get("status") or {}).get("room", {}).get("sid")]
            return len(bound) == count and len(await self.rooms()) == count and len(await self.pods()) == count

        await self.until(complete, f"{count} sessions with a room and a pod", START_SECONDS)

    async def until(self, check: Callable[[], Awaitable[T]], expected: str, seconds: float) -> T:
        """Poll until `check` returns a true value and return it. Raise AssertionError at the deadline."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    answer = await check()
                    if answer:
                        return answer
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise AssertionError(f"{expected}: not within {seconds:g} s") from None

    async def do(self, call: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in a thread, since the proxy runs in this event loop."""
        return await asyncio.to_thread(call, *args)

    async def _is_empty(self) -> bool:
        return not await self.rooms() and not await self.pods()
