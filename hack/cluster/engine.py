"""Finds a Docker engine, or starts one, and the client that can build with BuildKit."""

import functools
import os
import re
import subprocess
import threading
from pathlib import Path

from hack.cluster.constants import IMAGES
from hack.cluster.process import CommandError, Line, on_path, output, run, succeeds

BUILDX_NEEDED_SINCE = 23  # from this client version on, BuildKit is reached through the buildx plug-in only
REGISTRY_SECONDS = 20.0


def start(line: Line) -> None:
    """Make a Docker engine answer; raises CommandError where none does and none can be started."""
    run("bash", str(IMAGES / "engine.sh"), line=line)
    line(f"engine {output('docker', 'info', '--format', '{{.ServerVersion}}')}, client {client()}")


def answers() -> bool:
    """Tell whether a Docker engine answers."""
    return on_path("docker") is not None and succeeds("docker", "info", timeout=30)


@functools.cache
def client() -> str:
    """Return the Docker client whose `build` has BuildKit; a newer one without the plug-in has not."""
    for folder in os.environ["PATH"].split(os.pathsep):
        docker = Path(folder) / "docker"
        if os.access(docker, os.X_OK) and _has_buildkit(str(docker)):
            return str(docker)
    raise CommandError(("docker", "build"), 1, "no Docker client with BuildKit: install the buildx plug-in")


def _has_buildkit(docker: str) -> bool:
    version = re.search(r"\d+", output(docker, "--version"))
    builtin = version is not None and int(version[0]) < BUILDX_NEEDED_SINCE
    return builtin or succeeds(docker, "buildx", "version")


def pull(image: str, line: Line) -> bool:
    """Pull `image`; False where no registry has said a word after 20 s or where it has no such image."""
    line(f"pulling {image}")
    with subprocess.Popen(
        ("docker", "pull", image), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        silence = threading.Timer(REGISTRY_SECONDS, process.kill)
        silence.start()
        assert process.stdout is not None  # noqa: S101  for the type checker: stdout is a pipe
        for text in process.stdout:
            silence.cancel()
            line(text.rstrip())
        silence.cancel()
    return process.returncode == 0


def label(image: str, name: str) -> str | None:
    """Return a label of a local image: empty where it has no such label, None where there is no such image."""
    try:
        value = output("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{name}"}}}}', image)
    except CommandError:
        return None
    return "" if value == "<no value>" else value


def image_id(image: str) -> str:
    """Return the ID of a local image; raises CommandError where there is none."""
    return output("docker", "image", "inspect", "--format", "{{.Id}}", image)
