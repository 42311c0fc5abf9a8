"""helm as a function: what the cluster tests change of the release goes through the real client."""

import subprocess

from hack.cluster import constants
from tests.support.cluster.kubectl import program


def helm(*command: str, seconds: float = 300) -> str:
    """What helm prints. Raises AssertionError with what it complained of."""
    done = subprocess.run(
        [program("helm"), *command, "--kube-context", constants.CONTEXT, "--namespace", constants.NAMESPACE],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
