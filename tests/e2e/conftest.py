"""Fixtures of the cluster tests: clients of the release, and a new namespace for each test."""

import re
import secrets
from collections.abc import Iterator

import pytest

from hack.cluster import constants
from tests.support.cluster import manifests, operator_pods, rooms
from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.observability import failure_report
from tests.support.outcome import FAILED

HINT = "the cluster tests need the release of `make up`"


@pytest.fixture(scope="session")
def kube() -> Kube:
    """Return a client of the cluster, which must have the CRDs."""
    try:
        found = Kube()
        found.run("get", "voicesessions", "-A", "--no-headers")
    except (FileNotFoundError, KubectlError) as error:
        pytest.fail(f"{HINT}: {error}", pytrace=False)
    return found


@pytest.fixture(scope="session")
def livekit(kube: Kube) -> LiveKit:
    """Return a client of LiveKit when an operator leads."""
    if not operator_pods.pods(kube):
        pytest.fail(f"no operator in {constants.NAMESPACE}: {HINT}", pytrace=False)
    operator_pods.leader(kube)
    return rooms.connect(kube)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """Create a namespace for the test and delete it; report its contents if the test fails."""
    label = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    name = f"{label}-{secrets.token_hex(3)}".removeprefix("test-")
    kube.run("create", "namespace", name)
    yield name
    if request.node.stash.get(FAILED, False):
        for title, text in failure_report.collect(kube, name):
            request.node.add_report_section("teardown", title, text)
    kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def scenario(kube: Kube, livekit: LiveKit, namespace: str) -> Iterator[Scenario]:
    """Return a scenario in the test's namespace with the VoiceAgent `fake`."""
    made = Scenario(kube, livekit, namespace)
    made.apply_fake_agent()
    yield made
    made.close()


@pytest.fixture(scope="session")
def agent_66() -> Json:
    """Return the example VoiceAgent."""
    return manifests.example_agent()
