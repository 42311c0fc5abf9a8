"""A client of the cluster: reads over HTTP, everything else with the kubectl command line."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hack.cluster import constants
from tests.support.cluster.api_reader import ApiReader, ReadError

Json = dict[str, Any]


class KubectlError(Exception):
    """A failure of kubectl or of a read, with its error message."""


def program(name: str) -> str:
    """Return the path of a program installed by `make up` or on PATH; raise FileNotFoundError if there is none."""
    cached = constants.BIN / name
    found = str(cached) if cached.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run `make up` first")
    return found


class Kube:
    """Blocking client of the cluster of one kubeconfig context; raise KubectlError without it."""

    def __init__(self, context: str = constants.CONTEXT) -> None:
        self.context = context
        self._kubectl = (program("kubectl"), "--context", context)
        try:
            self._reader = ApiReader(context)
        except ReadError as error:
            raise KubectlError(str(error)) from error

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run kubectl and return its output; raise KubectlError with its error message."""
        done = subprocess.run(
            [*self._kubectl, *args], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *objects: Json) -> None:
        """Apply the objects."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        """Return the object, or None if it does not exist."""
        try:
            return self._reader.get(kind, name, namespace)
        except ReadError as error:
            raise KubectlError(str(error)) from error

    def all(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Json]:
        """Return all objects of a kind, in one namespace or in all, that match the label selector."""
        return self._list(kind, namespace, **({"labelSelector": selector} if selector else {}))

    def delete(self, kind: str, name: str, namespace: str, *flags: str) -> None:
        """Delete the object if it exists."""
        self.run("delete", kind, name, "-n", namespace, "--ignore-not-found", *flags)

    def patch(self, kind: str, name: str, namespace: str, patch: Json, how: str = "merge") -> None:
        """Patch the object; `how` is the patch type."""
        self.run("patch", kind, name, "-n", namespace, "--type", how, "-p", json.dumps(patch))

    def wait(self, target: str, condition: str, namespace: str, seconds: float) -> None:
        """Run `kubectl wait`; raise KubectlError after `seconds`."""
        self.run(
            "wait", target, f"--for={condition}", "-n", namespace, f"--timeout={seconds:.0f}s", timeout=seconds + 10
        )

    def exec(self, pod: str, namespace: str, *command: str, stdin: str | None = None, timeout: float = 60) -> str:
        """Run a command in the pod and return its output."""
        return self.run("exec", "-i", pod, "-n", namespace, "--", *command, stdin=stdin, timeout=timeout)

    def logs(self, pod: str, namespace: str, *flags: str) -> str:
        """Return the pod's log."""
        return self.run("logs", pod, "-n", namespace, *flags)

    def events(self, namespace: str, name: str, reason: str = "") -> list[Json]:
        """Return the events about one object, newest last."""
        selector = f"involvedObject.name={name}" + (f",reason={reason}" if reason else "")
        return self._list("events", namespace, fieldSelector=selector)

    @contextmanager
    def forwarded(self, target: str, namespace: str, port: int) -> Iterator[int]:
        """Forward a local port to `port` of a pod or Service while the block runs; yield the local port."""
        command = [*self._kubectl, "port-forward", target, f":{port}", "-n", namespace]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield _local_port(process)
            finally:
                process.terminate()

    def session(self, name: str, namespace: str) -> "Session | None":
        """Return the VoiceSession, or None if it does not exist."""
        raw = self.get("voicesession", name, namespace)
        return Session(raw) if raw else None

    def _list(self, kind: str, namespace: str | None, **selectors: str) -> list[Json]:
        try:
            return self._reader.items(kind, namespace, **selectors)
        except ReadError as error:
            raise KubectlError(str(error)) from error


class Session:
    """A VoiceSession with accessors for its status."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw
        self.uid: str = raw["metadata"]["uid"]
        self.status: Json = raw.get("status") or {}

    def condition(self, kind: str) -> Json:
        """Return the condition of that type, or an empty object."""
        found: Json = next((c for c in self.status.get("conditions", ()) if c["type"] == kind), {})
        return found

    def is_true(self, kind: str) -> bool:
        """Return whether the condition of that type is True."""
        return bool(self.condition(kind).get("status") == "True")

    @property
    def room(self) -> str:
        """Return the name of the LiveKit room."""
        return str((self.status.get("room") or {}).get("name", ""))

    @property
    def pod(self) -> str:
        """Return the name of the agent pod."""
        return str((self.status.get("agent") or {}).get("pod", ""))

    @property
    def identity(self) -> str:
        """Return the agent's identity in the room."""
        return str((self.status.get("agent") or {}).get("identity", ""))

    @property
    def end_reason(self) -> str:
        """Return the end reason, or an empty string."""
        return str(self.status.get("endReason") or "")


def _local_port(process: "subprocess.Popen[str]") -> int:
    """Parse kubectl's output line `Forwarding from 127.0.0.1:PORT -> ...`."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if "Forwarding from" not in line:
        raise KubectlError(line.strip() or "port-forward ended at once")
    return int(line.split(" -> ")[0].rsplit(":", 1)[1])
