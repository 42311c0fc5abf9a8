"""The Docker engine, started if necessary, and a client with BuildKit."""

import functools
import os
import re
import subprocess
import threading
from pathlib import Path

from hack.cluster.constants import IMAGES
from hack.cluster.process import CommandError, Log, on_path, output, run, succeeds

BUILDX_NEEDED_SINCE = 23  # since this client version, BuildKit needs the buildx plug-in
REGISTRY_SECONDS = 20.0


def start(log: Log) -> None:
    """Start a Docker engine unless one is running; raise CommandError if none can be started."""
    run("bash", str(IMAGES / "engine.sh"), log=log)
    log(f"engine {output('docker', 'info', '--format', '{{.ServerVersion}}')}, client {client()}")


def is_running() -> bool:
    """Return whether a Docker engine is running."""
    return on_path("docker") is not None and succeeds("docker", "info", timeout=30)


@functools.cache
def client() -> str:
    """Return a Docker client with BuildKit: an old client, or a new one with the buildx plug-in."""
    for folder in os.environ["PATH"].split(os.pathsep):
        docker = Path(folder) / "docker"
        if os.access(docker, os.X_OK) and _has_buildkit(str(docker)):
            return str(docker)
    raise CommandError(("docker", "build"), 1, "no Docker client with BuildKit: install the buildx plug-in")


def _has_buildkit(docker: str) -> bool:
    version = re.search(r"\d+", output(docker, "--version"))
    builtin = version is not None and int(version[0]) < BUILDX_NEEDED_SINCE
    return builtin or succeeds(docker, "buildx", "version")


def pull(image: str, log: Log) -> bool:
    """Pull `image`; return False if the registry lacks it or sends no output for 20 s."""
    log(f"pulling {image}")
    with subprocess.Popen(
        ("docker", "pull", image), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watchdog = threading.Timer(REGISTRY_SECONDS, process.kill)
        watchdog.start()
        assert process.stdout is not None  # noqa: S101  for the type checker: stdout is a pipe
        for text in process.stdout:
            watchdog.cancel()
            log(text.rstrip())
        watchdog.cancel()
    return process.returncode == 0


def label(image: str, name: str) -> str | None:
    """Return a label of a local image: empty without the label, None without the image."""
    try:
        value = output("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', image)
    except CommandError:
        return None
    return "" if value == "<no value>" else value


def image_id(image: str) -> str:
    """Return the ID of a local image; raise CommandError if it does not exist."""
    return output("docker", "image", "inspect", "--format", "{{.Id}}", image)
