"""From apply to Ready, one session at a time, with the real agent image."""

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import control_port, manifests

READY_SECONDS = 180
STEPS = {
    "apply -> pod created (operator)": ("apply", "pod created"),
    "pod created -> scheduled": ("pod created", "pod PodScheduled"),
    "scheduled -> process started (kubelet)": ("pod PodScheduled", "processStarted"),
    "process started -> models loaded (agent)": ("processStarted", "prepared"),
    "models loaded and bound -> in the room (agent)": ("told", "joined"),
    "in the room -> Ready seen (operator)": ("joined", "Ready"),
    "apply -> Ready": ("apply", "Ready"),
}


def run(rounds: int) -> Section:
    samples: dict[str, list[float]] = {step: [] for step in STEPS}
    samples["operator's own share"] = []
    with ground("starting") as here:
        here.example_agent("memory")
        for number in range(rounds):
            times = _one(here, f"s{number}")
            for step, (begin, end) in STEPS.items():
                samples[step].append(max(0.0, times[end] - times[begin]))
            samples["operator's own share"].append(_own_share(times))
            here.say(f"{number + 1}/{rounds}: Ready after {times['Ready'] - times['apply']:.2f} s")
    return Section("starting", "1. Apply to Ready", [_table(samples)], [NOTE])


NOTE = (
    "Operator's own share: apply to pod created, the wait of a prepared agent for its room (none when told while it "
    "still loaded), and in the room to Ready seen by a watch. Times of the agent are those of its control port."
)


def _one(here: Ground, name: str) -> dict[str, float]:
    document = manifests.session(name, here.trial.namespace, "agent-66")
    times = {"apply": here.timeline.create(document)}
    times["Ready"] = here.timeline.at(name, "Ready", READY_SECONDS)
    for milestone in ("pod created", "pod PodScheduled"):
        times[milestone] = here.timeline.at(name, milestone, 1)
    state = control_port.state(here.kube, here.trial.session(name).pod, here.trial.namespace)
    times |= {key: float(at) for key, at in state["timings"].items() if at is not None}
    times["told"] = max(times["prepared"], times["bound"])
    here.kube.delete("voicesession", name, here.trial.namespace)
    here.trial.gone()
    return times


def _own_share(times: dict[str, float]) -> float:
    waited = max(0.0, times["bound"] - times["prepared"])
    return (times["pod created"] - times["apply"]) + waited + max(0.0, times["Ready"] - times["joined"])


def _table(samples: dict[str, list[float]]) -> Table:
    return distribution("Where the time goes, in s", samples)
