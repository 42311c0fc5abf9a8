"""SIGKILL for what runs in the cluster: from the node, as the kernel's OOM killer would."""

import subprocess

from tests.e2e.kubectl import Json, Kube

FIND_MAIN = """
for dir in /proc/[0-9]*; do
  tr '\\0' '\\n' <"$dir/environ" 2>/dev/null | grep -qxF "$1" || continue
  set -- "$1" $(grep ^NSpid: "$dir/status" 2>/dev/null)
  eval last=\\${$#}
  if [ "$#" -gt 3 ] && [ "$last" = 1 ]; then echo "${dir#/proc/}"; fi
done
"""
"""Processes with that variable that are number 1 of a PID namespace below the node's: a container's main process."""

KILL_JOB = """
import os, signal
tables = [line.split() for name in ("udp", "udp6") for line in open(f"/proc/net/{name}").readlines()[1:]]
media = {f"socket:[{row[9]}]" for row in tables}
def sockets(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            pass
others = (pid for pid in os.listdir("/proc") if pid.isdigit() and pid not in ("1", str(os.getpid())))
jobs = [int(pid) for pid in others if media & set(sockets(pid))]
for pid in jobs:
    os.kill(pid, signal.SIGKILL)
print(len(jobs))
"""
"""Inside the pod: the agent job is the process, other than the supervisor, that holds media (UDP) sockets."""


def kill_main_process(pod: Json, variable: str) -> None:
    """SIGKILL the main process of the pod's container that has `NAME=value` in its environment."""
    node = pod["spec"]["nodeName"]
    found = _on_node(node, "sh", "-c", FIND_MAIN, "find", variable).split()
    assert len(found) == 1, f"{len(found)} main processes with {variable} on {node}"
    _on_node(node, "kill", "-9", found[0])


def kill_agent_process(kube: Kube, pod: str, namespace: str) -> None:
    """SIGKILL the supervisor of an agent pod, and with it everything in its container."""
    raw = kube.get("pod", pod, namespace)
    assert raw, f"no pod {pod}"
    kill_main_process(raw, f"VOICESESSION_POD_UID={raw['metadata']['uid']}")


def kill_agent_job(kube: Kube, pod: str, namespace: str) -> None:
    """SIGKILL the process in the pod that is in the room; the supervisor lives on."""
    killed = kube.exec(pod, namespace, "python", "-c", KILL_JOB).strip()
    assert killed == "1", f"{killed} job processes found in {pod}"


def _on_node(node: str, *command: str) -> str:
    done = subprocess.run(["docker", "exec", node, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"docker exec {node}: {done.stderr.strip()}"
    return done.stdout
