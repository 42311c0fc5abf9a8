"""helm as a function: what the cluster tests change of the release goes through the real client."""

import subprocess

from hack.cluster import names
from tests.e2e.kubectl import program


def helm(*command: str, seconds: float = 300) -> str:
    """What helm prints. Raises AssertionError with what it complained of."""
    done = subprocess.run(
        [program("helm"), *command, "--kube-context", names.CONTEXT, "--namespace", names.NAMESPACE],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
