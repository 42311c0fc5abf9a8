"""The processes of one agent pod as its node's kernel sees them."""

from dataclasses import dataclass

from tests.support.cluster import nodes
from tests.support.cluster.kubectl import Json

KIB = 1024
SURVEY = """
for status in /proc/[0-9]*/status; do cat "$status" 2>/dev/null; done | awk '
  function tell() { if (pid) print pid, parent, state, rss }
  /^Name:/ { tell(); pid = 0; rss = 0 }
  /^State:/ { state = $2 }
  /^Pid:/ { pid = $2 }
  /^PPid:/ { parent = $2 }
  /^VmRSS:/ { rss = $2 }
  END { tell() }'
"""
"""Every process of the node: number, parent's number, state letter, resident KiB (0 for those that are dead)."""
DESCRIPTORS = 'for pid in "$@"; do echo "$pid" "$(ls "/proc/$pid/fd" 2>/dev/null | wc -l)"; done'
ZOMBIE = "Z"


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str
    rss: int
    """Bytes."""
    descriptors: int = 0


@dataclass(frozen=True)
class Survey:
    """The supervisor and everything below it: jobs, the spare, the fork server."""

    supervisor: Process
    others: tuple[Process, ...]

    @property
    def all(self) -> tuple[Process, ...]:
        return (self.supervisor, *self.others)

    @property
    def zombies(self) -> int:
        return sum(p.state == ZOMBIE for p in self.all)


def survey(node: str, supervisor: int) -> Survey:
    """Everything below the supervisor, which goes by its number on the node (nodes.supervisor)."""
    told = nodes.on_node(node, "sh", "-c", SURVEY)
    found = family([_process(line) for line in told.splitlines()], supervisor)
    counts = nodes.on_node(node, "sh", "-c", DESCRIPTORS, "count", *(str(p.pid) for p in found))
    descriptors = {int(pid): int(count) for pid, count in (line.split() for line in counts.splitlines())}
    first, *others = (Process(p.pid, p.parent, p.state, p.rss, descriptors.get(p.pid, 0)) for p in found)
    return Survey(first, tuple(others))


def family(processes: list[Process], ancestor: int) -> list[Process]:
    """The ancestor first, then all its descendants."""
    found = [p for p in processes if p.pid == ancestor]
    assert found, f"no process {ancestor} on the node"
    known = {ancestor}
    while new := [p for p in processes if p.parent in known and p.pid not in known]:
        found += new
        known |= {p.pid for p in new}
    return found


def node_of(pod: Json) -> str:
    return str(pod["spec"]["nodeName"])


def _process(line: str) -> Process:
    pid, parent, state, rss = line.split()
    return Process(int(pid), int(parent), state, int(rss) * KIB)
