"""Fixtures of the fault tests: an operator on this machine replaces the cluster's one and connects through a proxy."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import fault_proxy, faults, operator_pods, rooms
from tests.support.cluster.fault_proxy import FaultProxy
from tests.support.cluster.fault_scenario import FaultScenario
from tests.support.cluster.kubectl import Kube, KubectlError
from tests.support.cluster.rooms import LiveKit
from tests.support.outcome import FAILED


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """Connect to the cluster and stop its own operator for the tests of the module."""
    try:
        found = Kube()
        operator_pods.leader(found)
    except (FileNotFoundError, KubectlError, AssertionError) as error:
        pytest.fail(f"the fault tests need the release that `make up` brings: {error}", pytrace=False)
    with faults.without(found, "operator"):
        yield found


@pytest.fixture(scope="module")
def livekit(kube: Kube) -> LiveKit:
    return rooms.connect(kube)


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    name = f"faults-{secrets.token_hex(3)}"
    kube.run("create", "namespace", name)
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
async def proxy(kube: Kube, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    """Run a fault proxy in front of the cluster's API server."""
    kubeconfig = tmp_path / "real-kubeconfig"
    kubeconfig.write_text(await asyncio.to_thread(kube.run, "config", "view", "--minify", "--flatten", "--raw"))
    async with fault_proxy.running(str(kubeconfig)) as made:
        yield made


@pytest.fixture
async def scene(
    kube: Kube, livekit: LiveKit, namespace: str, proxy: FaultProxy, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[FaultScenario]:
    """Create a namespace with a VoiceAgent and run an operator that leads there."""
    made = FaultScenario(kube, livekit, namespace, proxy, tmp_path)
    try:
        async with made.operator():
            await made.begin()
            yield made
            await made.end()
    finally:
        if request.node.stash.get(FAILED, False) and made.log.exists():
            request.node.add_report_section("teardown", "operator", made.log.read_text()[-20_000:])
