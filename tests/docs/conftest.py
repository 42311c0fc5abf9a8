"""Fixtures of the documents' tests: the cluster as `make up` leaves it, and somebody who reads."""

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
        pytest.fail(f"the documents' commands need the release that `make up` brings: {error}", pytrace=False)
    return found


@pytest.fixture(scope="module")
def reader(kube: Kube) -> Iterator[Reader]:
    """Somebody whose shell and files last from block to block."""
    with at_the_cluster(kube) as found:
        yield found
    release.start_example(print, anew=True)


@pytest.fixture(scope="module")
def document(kube: Kube, request: pytest.FixtureRequest) -> str:
    """The document's name, given as parameter; each begins with the example session Ready."""
    release.start_example(print, anew=True)
    return str(request.param)


@pytest.fixture
def scratch(kube: Kube) -> Iterator[str]:
    """A namespace that takes the place of the release's own in commands that would do harm there."""
    name = "documents-scratch"
    kube.run("create", "namespace", name)
    yield name
    kube.run("delete", "namespace", name, "--timeout=120s", timeout=150)
