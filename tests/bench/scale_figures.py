"""The figures of the bench with thousands of live sessions, their aims, and their section of the document."""

from dataclasses import dataclass, field

from tests.bench.figures import Section, Table, distribution, percentile

REST_SECONDS = 60.0
LEAVES = 100
WEBHOOKS_PER_SECOND, WEBHOOK_SECONDS = 1000, 10
ASKED_MIB, ASKED_CORES, ASKED_LEAVE, ASKED_LOOK = 250.0, 0.5, 1.0, 5.0


@dataclass
class Figures:
    """The measured values. Seconds, MiB and cores."""

    sessions: int
    first_look: float = 0.0
    rss: float = 0.0
    cores: float = 0.0
    calls: dict[str, int] = field(default_factory=dict)
    leaves: dict[str, list[float]] = field(default_factory=dict)
    takeover: float = 0.0
    new_leader: float = 0.0
    webhook_answers: list[float] = field(default_factory=list)
    webhooks_failed: int = 0
    drained: float = 0.0
    kept_lead: bool = False
    loads: dict[str, float] = field(default_factory=dict)
    """Load average of the machine at the end of a part, which includes the simulation and the API server."""

    @property
    def leaves_of_each_way(self) -> int:
        """Return the number of humans that leave by each way; a third of the sessions keeps its human."""
        return min(LEAVES, self.sessions // 3)

    def misses(self) -> list[str]:
        """Return the missed aims."""
        aims = {
            f"memory {self.rss:.0f} MiB, asked {ASKED_MIB:.0f}": self.rss > ASKED_MIB,
            f"CPU {self.cores:.2f} cores, asked {ASKED_CORES}": self.cores > ASKED_CORES,
            f"new leader {self.new_leader:.1f} s, asked {ASKED_LOOK:.0f}": self.new_leader > ASKED_LOOK,
            f"{self.webhooks_failed} webhooks refused": self.webhooks_failed > 0,
            "the leader lost its Lease": not self.kept_lead,
        }
        for way, values in self.leaves.items():
            aims[f"leave noticed {way}: p99 above {ASKED_LEAVE:.0f} s"] = (
                len(values) < self.leaves_of_each_way or percentile(values, 99) > ASKED_LEAVE
            )
        return [text for text, missed in aims.items() if missed]

    def section(self) -> Section:
        """Return the section of the document."""
        table = Table(f"One leader, {self.sessions} live sessions with one human each", ["what", "figure", "asked"])
        per_second = ", ".join(f"{name} {count / REST_SECONDS:.1f}" for name, count in sorted(self.calls.items()))
        sent, answers = WEBHOOKS_PER_SECOND * WEBHOOK_SECONDS, self.webhook_answers or [0.0]
        table.rows = [
            ["memory (RSS) at rest", f"{self.rss:.0f} MiB", f"{ASKED_MIB:.0f} MiB"],
            ["CPU at rest", f"{self.cores:.2f} cores", f"{ASKED_CORES} cores"],
            ["requests per second at rest", per_second, ""],
            ["first leader: start of the process -> all looked at", f"{self.first_look:.1f} s", ""],
            ["leader killed (SIGKILL) -> first look of the next one", f"{self.takeover:.1f} s", ""],
            ["next leader: first look -> all looked at", f"{self.new_leader:.1f} s", f"{ASKED_LOOK:.0f} s"],
            [f"{sent} webhooks in {WEBHOOK_SECONDS} s: refused", str(self.webhooks_failed), "0"],
            ["webhooks: answer p99", f"{percentile(answers, 99):.3f} s", ""],
            ["webhooks: from the last one until the queue was empty", f"{self.drained:.1f} s", ""],
            ["webhooks: the leader kept its Lease", "yes" if self.kept_lead else "no", "yes"],
            ["load average", ", ".join(f"{part} {load:.1f}" for part, load in self.loads.items()), ""],
        ]
        leaves = distribution("Leave -> stored in the status, in s", self.leaves)
        return Section("scale", "14. 5,000 sessions", [table, leaves], [NOTE], self.misses())


NOTE = (
    "API server and etcd are those of the kind cluster; the operator is a process on the same machine. LiveKit's room "
    "service and the pods' control ports are a simulation: one program with an address for each pod. Without a "
    "webhook, the pod reports the leave."
)
