"""Ways into the cluster that kubectl opens: a local port that leads to a Service, a command in a pod.

The API server's proxy would not do: it keeps the Authorization header that these requests are judged by.
"""

import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from voicesession_cli.errors import CommandError

SECONDS: Final = 15


def _kubectl(context: str | None, *args: str) -> list[str]:
    found = shutil.which("kubectl")
    if found is None:
        raise CommandError("kubectl is not on PATH")
    return [found, *(["--context", context] if context else []), *args]


@contextmanager
def forwarded(context: str | None, service: str, namespace: str, port: int) -> Iterator[int]:
    """The local port while the block runs. Raises CommandError where the Service has no pod that runs."""
    flags = ("--pod-running-timeout=5s", "-n", namespace)
    command = _kubectl(context, "port-forward", f"service/{service}", f":{port}", *flags)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        try:
            yield _port(process, service)
        finally:
            process.terminate()


def run(context: str | None, namespace: str, pod: str, *command: str) -> None:
    """Raises CommandError with the last line of its complaint."""
    words = _kubectl(context, "exec", pod, "-n", namespace, "--", *command)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{pod} does not answer") from error
    if done.returncode:
        raise CommandError((done.stderr.strip() or "it failed").splitlines()[-1])


def _port(process: "subprocess.Popen[str]", service: str) -> int:
    out = process.stdout
    line = out.readline() if out and select.select([out], [], [], SECONDS)[0] else ""
    if "Forwarding from" not in line:
        raise CommandError(f"no way to {service}: {line.strip() or 'kubectl says nothing'}")
    return int(line.split(" -> ")[0].rsplit(":", 1)[1])
