"""The helm command line for tests that change the release."""

import subprocess

from hack.cluster import constants
from tests.support.cluster.kubectl import program


def helm(*command: str, seconds: float = 300) -> str:
    """Run helm on the release's namespace and return its output; raise AssertionError with its error message."""
    done = subprocess.run(
        [program("helm"), *command, "--kube-context", constants.CONTEXT, "--namespace", constants.NAMESPACE],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
