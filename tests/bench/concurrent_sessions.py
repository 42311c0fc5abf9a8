"""Many sessions at once, with agents that only join."""

import time

from tests.bench.environment import ground
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import manifests, operator_pods

LONGEST = 600
MIB = 2**20


def run(rounds: int) -> Section:
    """`rounds` is how many sessions."""
    names = [f"s{number}" for number in range(rounds)]
    with ground("crowd") as here:
        before = operator_pods.metrics(here.kube)
        created = {n: here.timeline.create(manifests.session(n, here.trial.namespace)) for n in names}
        ready = [here.timeline.at(n, "Ready", LONGEST) - created[n] for n in names]
        here.say(f"{rounds} Ready, the last after {max(ready):.1f} s")
        at_peak = operator_pods.metrics(here.kube)
        begin = time.time()
        for name in names:
            here.kube.patch("voicesession", name, here.trial.namespace, {"spec": {"end": True}})
        here.trial.gone(LONGEST)
        gone = time.time() - begin
        finished = [here.trial.finished(n, 60).end_reason for n in names]
        after = operator_pods.metrics(here.kube)
        left = [len(here.trial.livekit.rooms(here.trial.namespace)), len(here.trial.pods())]
        table = _table(rounds, before, at_peak, after, finished, left, gone)
    return Section("crowd", "6. Many sessions at once", [distribution("In s", {"apply -> Ready": ready}), table])


def _table(
    rounds: int,
    before: dict[str, float],
    at_peak: dict[str, float],
    after: dict[str, float],
    finished: list[str],
    left: list[int],
    gone: float,
) -> Table:
    writes = after["voicesession_kubernetes_writes_total"] - before["voicesession_kubernetes_writes_total"]
    cpu = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    rss = [f"{m['process_resident_memory_bytes'] / MIB:.0f}" for m in (before, at_peak, after)]
    table = Table(f"{rounds} sessions", ["what", "figure"])
    table.rows = [
        ["ended as requested", f"{finished.count('Requested')} of {rounds}"],
        ["rooms left, pods left", f"{left[0]}, {left[1]}"],
        ["from the first `end: true` until nothing was left", f"{gone:.1f} s"],
        ["operator's memory (RSS) before, with all Ready, after", f"{', '.join(rss)} MiB"],
        ["operator's CPU for all of it", f"{cpu:.2f} s, {1000 * cpu / rounds:.0f} ms per session"],
        ["writes to the API server per session life, without the leader's Lease", f"{writes / rounds:.1f}"],
    ]
    return table
