"""Fixtures of the documents' tests: the cluster of `make up`, and a reader."""

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
    release.start_example(print, recreate=True)


@pytest.fixture(scope="module")
def document(kube: Kube, request: pytest.FixtureRequest) -> str:
    """Return the document's name from the parameter, with the example session Ready."""
    release.start_example(print, recreate=True)
    return str(request.param)


@pytest.fixture
def scratch(kube: Kube) -> Iterator[str]:
    """Create a namespace in place of the release's, for commands that would damage the release."""
    name = "documents-scratch"
    kube.run("create", "namespace", name)
    yield name
    kube.run("delete", "namespace", name, "--timeout=120s", timeout=150)
