"""Fixtures of the cluster tests: the release that `make up` brought, and a namespace of its own for each test."""

import re
import secrets
from collections.abc import Iterator

import pytest

from hack.cluster import constants
from tests.support.cluster import manifests, operator_pods, rooms
from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.observability import failure_report
from tests.support.outcome import FAILED

HINT = "the cluster tests need the release that `make up` brings"


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The cluster, with the CRDs in it."""
    try:
        found = Kube()
        found.run("get", "voicesessions", "-A", "--no-headers")
    except (FileNotFoundError, KubectlError) as error:
        pytest.fail(f"{HINT}: {error}", pytrace=False)
    return found


@pytest.fixture(scope="session")
def livekit(kube: Kube) -> LiveKit:
    """LiveKit from the host; by then the operator leads."""
    if not operator_pods.pods(kube):
        pytest.fail(f"no operator in {constants.NAMESPACE}: {HINT}", pytrace=False)
    operator_pods.leader(kube)
    return rooms.connect(kube)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that no other test sees; its contents are reported if the test fails."""
    short = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    name = f"{short}-{secrets.token_hex(3)}".removeprefix("test-")
    kube.run("create", "namespace", name)
    yield name
    if request.node.stash.get(FAILED, False):
        for title, text in failure_report.of(kube, name):
            request.node.add_report_section("teardown", title, text)
    kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def trial(kube: Kube, livekit: LiveKit, namespace: str) -> Iterator[Trial]:
    """The namespace with an agent `fake` that only joins."""
    made = Trial(kube, livekit, namespace)
    made.fake_agent()
    yield made
    made.close()


@pytest.fixture(scope="session")
def agent_66() -> Json:
    """The example VoiceAgent as its file has it."""
    return manifests.example_agent()
