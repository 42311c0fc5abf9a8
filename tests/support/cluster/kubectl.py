"""kubectl as functions: what the cluster tests ask of Kubernetes goes through the real client."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hack.cluster import constants

Json = dict[str, Any]


class KubectlError(Exception):
    """kubectl ended badly; the text is what a user sees."""


def program(name: str) -> str:
    """A program that `make up` brought, or the one on PATH. Raises FileNotFoundError with the hint."""
    cached = constants.BIN / name
    found = str(cached) if cached.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run `make up` first")
    return found


class Kube:
    """One cluster through its kubeconfig context. Blocking."""

    def __init__(self, context: str = constants.CONTEXT) -> None:
        self.context = context
        self._kubectl = (program("kubectl"), "--context", context)

    def run(self, *args: str, stdin: str | None = None, timeout: float = 60) -> str:
        """What kubectl prints. Raises KubectlError with what it complained of."""
        done = subprocess.run(
            [*self._kubectl, *args], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, *objects: Json) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        """The object, or None when there is none."""
        text = self.run("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        found: Json | None = json.loads(text) if text.strip() else None
        return found

    def all(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Json]:
        """Every object of a kind: in one namespace or in all, with a label selector if there is one."""
        where = ["-n", namespace] if namespace else ["-A"]
        text = self.run("get", kind, *where, "-o", "json", *(["-l", selector] if selector else []))
        items: list[Json] = json.loads(text)["items"]
        return items

    def delete(self, kind: str, name: str, namespace: str, *flags: str) -> None:
        self.run("delete", kind, name, "-n", namespace, "--ignore-not-found", *flags)

    def patch(self, kind: str, name: str, namespace: str, patch: Json, how: str = "merge") -> None:
        self.run("patch", kind, name, "-n", namespace, "--type", how, "-p", json.dumps(patch))

    def wait(self, what: str, condition: str, namespace: str, seconds: float) -> None:
        """`kubectl wait`; KubectlError when the time is up."""
        self.run("wait", what, f"--for={condition}", "-n", namespace, f"--timeout={seconds:.0f}s", timeout=seconds + 10)

    def exec(self, pod: str, namespace: str, *command: str, stdin: str | None = None, timeout: float = 60) -> str:
        return self.run("exec", "-i", pod, "-n", namespace, "--", *command, stdin=stdin, timeout=timeout)

    def logs(self, pod: str, namespace: str, *flags: str) -> str:
        return self.run("logs", pod, "-n", namespace, *flags)

    def events(self, namespace: str, name: str, reason: str = "") -> list[Json]:
        """Events about one object, newest last."""
        selector = f"involvedObject.name={name}" + (f",reason={reason}" if reason else "")
        text = self.run("get", "events", "-n", namespace, "--field-selector", selector, "-o", "json")
        items: list[Json] = json.loads(text)["items"]
        return items

    @contextmanager
    def forwarded(self, target: str, namespace: str, port: int) -> Iterator[int]:
        """A local port that leads to `port` of a pod or Service while the block runs."""
        command = [*self._kubectl, "port-forward", target, f":{port}", "-n", namespace]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                yield _local_port(process)
            finally:
                process.terminate()

    def session(self, name: str, namespace: str) -> "Session | None":
        raw = self.get("voicesession", name, namespace)
        return Session(raw) if raw else None


class Session:
    """A VoiceSession as tests read it."""

    def __init__(self, raw: Json) -> None:
        self.raw = raw
        self.uid: str = raw["metadata"]["uid"]
        self.status: Json = raw.get("status") or {}

    def condition(self, kind: str) -> Json:
        """The condition of that type, or an empty one."""
        found: Json = next((c for c in self.status.get("conditions", ()) if c["type"] == kind), {})
        return found

    def is_true(self, kind: str) -> bool:
        return bool(self.condition(kind).get("status") == "True")

    @property
    def room(self) -> str:
        return str((self.status.get("room") or {}).get("name", ""))

    @property
    def pod(self) -> str:
        return str((self.status.get("agent") or {}).get("pod", ""))

    @property
    def identity(self) -> str:
        return str((self.status.get("agent") or {}).get("identity", ""))

    @property
    def end_reason(self) -> str:
        return str(self.status.get("endReason") or "")


def _local_port(process: "subprocess.Popen[str]") -> int:
    """From kubectl's own line `Forwarding from 127.0.0.1:PORT -> ...`."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if "Forwarding from" not in line:
        raise KubectlError(line.strip() or "port-forward ended at once")
    return int(line.split(" -> ")[0].rsplit(":", 1)[1])
