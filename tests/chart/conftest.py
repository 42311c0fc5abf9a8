"""Fixtures of the chart tests. A missing program fails a test with a hint and never skips it."""

import json
import subprocess
from pathlib import Path

import pytest

from hack.cluster import constants
from tests.support.chart import rendering, schemas


@pytest.fixture(scope="session", autouse=True)
def helm() -> str:
    return _program("helm")


@pytest.fixture(scope="session")
def kubeconform() -> str:
    return _program("kubeconform")


@pytest.fixture(scope="session")
def kubectl() -> list[str]:
    """Return the kubectl command for the cluster of `make up`."""
    return [_program("kubectl"), f"--context={constants.CONTEXT}"]


@pytest.fixture(scope="session")
def schema_folder(kubectl: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write JSON schemas of all resources of the cluster and of our CRDs."""
    command = [*kubectl, "get", "--raw", "/openapi/v2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        pytest.fail(f"the cluster of `make up` does not answer: {done.stderr.strip()}", pytrace=False)
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write_builtin(json.loads(done.stdout), folder)
    for plural in ("voiceagents", "voicepools", "voicesessions"):
        schemas.write_crd(rendering.crd(plural), folder)
    return folder


def _program(name: str) -> str:
    try:
        return rendering.program(name)
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
