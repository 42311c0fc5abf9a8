"""The time from apply to Ready, one session at a time, with the real agent image."""

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import control_port, manifests

READY_SECONDS = 180
STEPS = {
    "apply -> pod created (operator)": ("apply", "pod created"),
    "pod created -> scheduled": ("pod created", "pod PodScheduled"),
    "scheduled -> process started (kubelet)": ("pod PodScheduled", "processStarted"),
    "process started -> models loaded (agent)": ("processStarted", "prepared"),
    "models loaded and bound -> in the room (agent)": ("loaded and bound", "joined"),
    "in the room -> Ready seen (operator)": ("joined", "Ready"),
    "apply -> Ready": ("apply", "Ready"),
}


def run(rounds: int) -> Section:
    """Measure `rounds` starts."""
    samples: dict[str, list[float]] = {step: [] for step in STEPS}
    samples["operator's own share"] = []
    with bench_environment("starting") as env:
        env.example_agent("memory")
        for number in range(rounds):
            times = _measure_one(env, f"s{number}")
            for step, (begin, end) in STEPS.items():
                samples[step].append(max(0.0, times[end] - times[begin]))
            samples["operator's own share"].append(_own_share(times))
            env.print_progress(f"{number + 1}/{rounds}: Ready after {times['Ready'] - times['apply']:.2f} s")
    return Section("starting", "1. Apply to Ready", [_table(samples)], [NOTE])


NOTE = (
    "Operator's own share: apply to pod created, the wait of a prepared agent for its room (zero if the room is "
    "assigned while it loads), and in the room to Ready seen by a watch. Times of the agent are from its control port."
)


def _measure_one(env: BenchEnvironment, name: str) -> dict[str, float]:
    document = manifests.session(name, env.scenario.namespace, "agent-66")
    times = {"apply": env.timeline.create(document)}
    times["Ready"] = env.timeline.at(name, "Ready", READY_SECONDS)
    for milestone in ("pod created", "pod PodScheduled"):
        times[milestone] = env.timeline.at(name, milestone, 1)
    state = control_port.state(env.kube, env.scenario.session(name).pod, env.scenario.namespace)
    times |= {key: float(at) for key, at in state["timings"].items() if at is not None}
    times["loaded and bound"] = max(times["prepared"], times["bound"])
    env.kube.delete("voicesession", name, env.scenario.namespace)
    env.scenario.wait_until_empty()
    return times


def _own_share(times: dict[str, float]) -> float:
    waited = max(0.0, times["bound"] - times["prepared"])
    return (times["pod created"] - times["apply"]) + waited + max(0.0, times["Ready"] - times["joined"])


def _table(samples: dict[str, list[float]]) -> Table:
    return distribution("Where the time goes, in s", samples)
