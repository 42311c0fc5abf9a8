"""Faults caused from a node: signals to processes of pods, and dropped network packets."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hack.cluster import constants
from tests.support.cluster.kubectl import Json, Kube

LIVEKIT = f"{constants.RELEASE}-livekit"

FIND_MAIN = """
for dir in /proc/[0-9]*; do
  tr '\\0' '\\n' <"$dir/environ" 2>/dev/null | grep -qxF "$1" || continue
  set -- "$1" $(grep ^NSpid: "$dir/status" 2>/dev/null)
  eval last=\\${$#}
  if [ "$#" -gt 3 ] && [ "$last" = 1 ]; then echo "${dir#/proc/}"; fi
done
"""
"""Find the main process of a container: PID 1 of a nested PID namespace, with the variable in its environment."""

SIGNAL_JOB = """
import os, signal, sys
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
    os.kill(pid, signal.Signals[sys.argv[1]])
print(len(jobs))
"""
"""Signal the agent job from inside the pod: the process beside the supervisor that has media (UDP) sockets."""


def kill_main_process(pod: Json, variable: str) -> None:
    """Kill (SIGKILL) the main process of the pod's container with `NAME=value` in its environment."""
    on_node(pod["spec"]["nodeName"], "kill", "-9", str(main_process(pod, variable)))


def kill_agent_process(kube: Kube, pod: str, namespace: str) -> None:
    """Kill (SIGKILL) the supervisor of an agent pod, and so all processes of its container."""
    raw = agent_pod(kube, pod, namespace)
    kill_main_process(raw, _supervisor_of(raw))


def stop_agent_process(kube: Kube, pod: str, namespace: str) -> None:
    """Stop (SIGSTOP) the supervisor of an agent pod: it exists and answers no request."""
    raw = agent_pod(kube, pod, namespace)
    on_node(raw["spec"]["nodeName"], "kill", "-STOP", str(supervisor(raw)))


def kill_agent_job(kube: Kube, pod: str, namespace: str) -> None:
    """Kill (SIGKILL) the process of the pod that is in the room; the supervisor keeps running."""
    _signal_job(kube, pod, namespace, "SIGKILL")


def stop_agent_job(kube: Kube, pod: str, namespace: str) -> None:
    """Stop (SIGSTOP) the process of the pod that is in the room: it neither receives nor sends audio."""
    _signal_job(kube, pod, namespace, "SIGSTOP")


@contextmanager
def cut_off(kube: Kube, pod: str, namespace: str) -> Iterator[None]:
    """Drop all packets between the pod and LiveKit in both directions; the pod may end inside the block."""
    raw = agent_pod(kube, pod, namespace)
    node, inside = raw["spec"]["nodeName"], ("nsenter", "-t", str(supervisor(raw)), "-n", "iptables", "-w")
    rules = _rules(kube)
    for rule in rules:
        on_node(node, *inside, "-I", *rule)
    try:
        yield
    finally:
        for rule in rules:
            with suppress(AssertionError):
                on_node(node, *inside, "-D", *rule)


def agent_pod(kube: Kube, pod: str, namespace: str) -> Json:
    """Return the pod, which must exist."""
    raw = kube.get("pod", pod, namespace)
    assert raw, f"no pod {pod}"
    return raw


def supervisor(pod: Json) -> int:
    """Return the PID of an agent pod's main process on the node."""
    return main_process(pod, _supervisor_of(pod))


def main_process(pod: Json, variable: str) -> int:
    """Return the PID on the node of the container main process with `NAME=value` in its environment."""
    node = pod["spec"]["nodeName"]
    found = on_node(node, "sh", "-c", FIND_MAIN, "find", variable).split()
    assert len(found) == 1, f"{len(found)} main processes with {variable} on {node}"
    return int(found[0])


def on_node(node: str, *command: str) -> str:
    """Run a command on a node and return its output; raise AssertionError with its error message."""
    done = subprocess.run(["docker", "exec", node, *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"docker exec {node}: {done.stderr.strip()}"
    return done.stdout


def _supervisor_of(pod: Json) -> str:
    return f"VOICESESSION_POD_UID={pod['metadata']['uid']}"


def _signal_job(kube: Kube, pod: str, namespace: str, name: str) -> None:
    signaled = kube.exec(pod, namespace, "python", "-c", SIGNAL_JOB, name).strip()
    assert signaled == "1", f"{signaled} job processes found in {pod}"


def _rules(kube: Kube) -> list[tuple[str, ...]]:
    """Return iptables rules that drop TCP on the ports of LiveKit's Service and all UDP except DNS."""
    service = kube.get("service", LIVEKIT, constants.NAMESPACE)
    assert service, f"no service {LIVEKIT}"
    drop = ("-j", "DROP")
    ports = {str(port["port"]) for port in service["spec"]["ports"] if port.get("protocol", "TCP") == "TCP"}
    rules: list[tuple[str, ...]] = [
        ("OUTPUT", "-p", "udp", "!", "--dport", "53", *drop),
        ("INPUT", "-p", "udp", "!", "--sport", "53", *drop),
    ]
    for port in sorted(ports):
        rules.append(("OUTPUT", "-p", "tcp", "--dport", port, *drop))
        rules.append(("INPUT", "-p", "tcp", "--sport", port, *drop))
    return rules
