"""Fixtures of the documents' tests: the cluster of `make up`, and a reader."""

import secrets
from collections.abc import Iterator

import pytest

from hack.cluster import constants, release
from tests.support.cluster.kubectl import Kube, KubectlError
from tests.support.documents.reader import Reader, at_the_cluster


@pytest.fixture(scope="session")
def kube() -> Kube:
    try:
        found = Kube()
        found.run("get", "deployments", "-n", constants.NAMESPACE, "--no-headers")
    except (FileNotFoundError, KubectlError) as error:
        pytest.fail(f"the documents' commands need the release of `make up`: {error}", pytrace=False)
    return found


@pytest.fixture(scope="module")
def reader(kube: Kube) -> Iterator[Reader]:
    """Create a reader with one folder and environment for all blocks of a module."""
    with at_the_cluster(kube) as found:
        yield found


@pytest.fixture(scope="module")
def example(kube: Kube) -> Iterator[None]:
    """Restore the example session after the last document."""
    yield
    _start_unused_example(kube)


@pytest.fixture(scope="module")
def document(kube: Kube, example: None, request: pytest.FixtureRequest) -> str:
    """Return the document's name from the parameter, with the example session Ready and unused."""
    _start_unused_example(kube)
    return str(request.param)


@pytest.fixture
def scratch(kube: Kube) -> Iterator[str]:
    """Create a namespace in place of the release's, for commands that would damage the release."""
    name = f"documents-scratch-{secrets.token_hex(3)}"
    kube.run("create", "namespace", name)
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


def _start_unused_example(kube: Kube) -> None:
    """Wait until the example session is Ready; recreate it if a human joined it or it was reset."""
    found = kube.session(constants.EXAMPLE_SESSION, constants.EXAMPLE_NAMESPACE)
    is_unused = found is not None and not found.status.get("firstHumanAt") and not found.status.get("resets")
    release.start_example(print, recreate=not is_unused)
