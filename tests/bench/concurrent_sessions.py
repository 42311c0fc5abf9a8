"""Many concurrent sessions, with agents that join and do nothing else."""

import time

from tests.bench.environment import bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import manifests, operator_pods

LONGEST = 600
MIB = 2**20


def run(rounds: int) -> Section:
    """Measure the sessions; `rounds` is their number."""
    names = [f"s{number}" for number in range(rounds)]
    with bench_environment("crowd") as env:
        before = operator_pods.metrics(env.kube)
        created = {n: env.timeline.create(manifests.session(n, env.scenario.namespace)) for n in names}
        ready = [env.timeline.at(n, "Ready", LONGEST) - created[n] for n in names]
        env.print_progress(f"{rounds} Ready, the last after {max(ready):.1f} s")
        at_peak = operator_pods.metrics(env.kube)
        begin = time.time()
        for name in names:
            env.kube.patch("voicesession", name, env.scenario.namespace, {"spec": {"end": True}})
        env.scenario.wait_until_empty(LONGEST)
        gone = time.time() - begin
        finished = [env.scenario.wait_until_finished(n, 60).end_reason for n in names]
        after = operator_pods.metrics(env.kube)
        left = [len(env.scenario.livekit.rooms(env.scenario.namespace)), len(env.scenario.agent_pods())]
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
        [
            "writes to the API server per session that nobody joins, without its deletion and the Lease",
            f"{writes / rounds:.1f}",
        ],
    ]
    return table
