"""Processes of one agent pod, read from /proc on its node."""

from dataclasses import dataclass

from tests.support.cluster import nodes
from tests.support.cluster.kubectl import Json

KIB = 1024
SURVEY = """
for status in /proc/[0-9]*/status; do cat "$status" 2>/dev/null; done | awk '
  function emit() { if (pid) print pid, parent, state, rss }
  /^Name:/ { emit(); pid = 0; rss = 0 }
  /^State:/ { state = $2 }
  /^Pid:/ { pid = $2 }
  /^PPid:/ { parent = $2 }
  /^VmRSS:/ { rss = $2 }
  END { emit() }'
"""
"""List all processes of the node: PID, parent's PID, state letter, resident KiB (0 for zombies)."""
DETAILS = """
for pid in "$@"; do
  sizes=$(awk '/^Pss:/ { all = $2 } /^Pss_Anon:/ { print all, $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null)
  echo "$pid" "$(ls "/proc/$pid/fd" 2>/dev/null | wc -l)" ${sizes:-0 0}
done"""
"""List PID, number of open descriptors, proportional set size and its anonymous part in KiB (0 for zombies)."""
ZOMBIE = "Z"


@dataclass(frozen=True)
class Process:
    """One process of a pod."""

    pid: int
    parent: int
    state: str
    rss: int
    """Resident memory in bytes."""
    descriptors: int = 0
    pss: int = 0
    """Proportional set size in bytes: a page that several processes share counts in parts, so that sums are true.

    Pods of one image share the pages of its files, so another pod on the node makes it smaller.
    """
    anonymous: int = 0
    """The part of it without files, which only this pod changes."""


@dataclass(frozen=True)
class Survey:
    """The supervisor and its descendants: jobs, the prewarmed job, the fork server."""

    supervisor: Process
    others: tuple[Process, ...]

    @property
    def all(self) -> tuple[Process, ...]:
        """Return the supervisor and its descendants."""
        return (self.supervisor, *self.others)

    @property
    def zombies(self) -> int:
        """Return the number of zombies."""
        return sum(p.state == ZOMBIE for p in self.all)


def survey(node: str, supervisor: int) -> Survey:
    """Return the supervisor and its descendants; `supervisor` is its PID on the node (nodes.supervisor)."""
    listing = nodes.on_node(node, "sh", "-c", SURVEY)
    found = family([_process(line) for line in listing.splitlines()], supervisor)
    listed = nodes.on_node(node, "sh", "-c", DETAILS, "details", *(str(p.pid) for p in found))
    details = {pid: (count, pss * KIB, own * KIB) for pid, count, pss, own in map(_numbers, listed.splitlines())}
    first, *others = (Process(p.pid, p.parent, p.state, p.rss, *details.get(p.pid, (0, 0, 0))) for p in found)
    return Survey(first, tuple(others))


def family(processes: list[Process], ancestor: int) -> list[Process]:
    """Return the ancestor, then all its descendants."""
    found = [p for p in processes if p.pid == ancestor]
    assert found, f"no process {ancestor} on the node"
    known = {ancestor}
    while new := [p for p in processes if p.parent in known and p.pid not in known]:
        found += new
        known |= {p.pid for p in new}
    return found


def node_of(pod: Json) -> str:
    """Return the name of the pod's node."""
    return str(pod["spec"]["nodeName"])


def _numbers(line: str) -> tuple[int, int, int, int]:
    pid, count, pss, anonymous = map(int, line.split())
    return pid, count, pss, anonymous


def _process(line: str) -> Process:
    pid, parent, state, rss = line.split()
    return Process(int(pid), int(parent), state, int(rss) * KIB)
