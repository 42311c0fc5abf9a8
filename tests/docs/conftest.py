"""Fixtures of the documents' tests: the cluster as `make up` leaves it, and somebody who reads."""

from collections.abc import Iterator

import pytest

from hack.cluster import names, release
from tests.docs.reader import Reader, at_the_cluster
from tests.e2e.kubectl import Kube, KubectlError


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """With the example session Ready, before and after."""
    try:
        kube = Kube()
        kube.run("get", "deployments", "-n", names.NAMESPACE, "--no-headers")
    except (FileNotFoundError, KubectlError) as error:
        pytest.fail(f"the documents' commands need the release that `make up` brings: {error}", pytrace=False)
    release.start_example(print, anew=True)
    with at_the_cluster(kube) as found:
        yield found
    release.start_example(print, anew=True)


@pytest.fixture
def scratch() -> Iterator[str]:
    """A namespace that takes the place of the release's own in commands that would do harm there."""
    kube, name = Kube(), "documents-scratch"
    kube.run("create", "namespace", name)
    yield name
    kube.run("delete", "namespace", name, "--timeout=120s", timeout=150)
