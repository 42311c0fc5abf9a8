"""Many conversations in one pod: do its processes keep their size?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench import plot
from tests.bench.environment import Ground, ground
from tests.bench.figures import PAGE, Section, Table, distribution, percentile
from tests.bench.plot import Panel
from tests.bench.trend import growth_per_hour
from tests.support.cluster import nodes
from tests.support.cluster.manifests import RESET
from tests.support.cluster.pod_processes import Survey, node_of, survey
from tests.support.participants.speaker import Guest

PLOT = PAGE.parent / "soak.svg"
MIB = 2**20
WARM_UP_PART = 5
"""The first fifth of the cycles fills caches and is left out of every growth."""
MAX_GROWTH = 5.0
"""Percent per hour, of resident memory."""
LONGEST = 60
SENTENCE = "Test one"

Measure = Callable[[Survey], float]
MEMORY: dict[str, Measure] = {
    "supervisor": lambda s: s.supervisor.rss / MIB,
    "largest other process": lambda s: max((p.rss for p in s.others), default=0) / MIB,
    "all processes": lambda s: sum(p.rss for p in s.all) / MIB,
}
"""Resident memory; of all processes it counts shared pages once for each."""
DESCRIPTORS: dict[str, Measure] = {
    "supervisor": lambda s: s.supervisor.descriptors,
    "all processes": lambda s: sum(p.descriptors for p in s.all),
}
PROCESSES: dict[str, Measure] = {
    "processes": lambda s: len(s.all),
    "zombies": lambda s: s.zombies,
}


@dataclass(frozen=True)
class Cycle:
    """What was seen at the end of one conversation, while its job was still in the room."""

    at: float
    survey: Survey
    latency: float


def run(rounds: int) -> Section:
    with ground("soak") as here:
        here.example_agent("greeting", onLastHumanLeft=RESET)
        here.kube.wait("voiceagent/agent-66", "condition=Ready", here.trial.namespace, 120)
        session = here.trial.ready("call", "agent-66", grace=0, reconnect_grace=0, max_duration=86400)
        pod = nodes.agent_pod(here.kube, session.pod, here.trial.namespace)
        supervisor, begin = nodes.supervisor(pod), time.time()
        with Guest(here.trial.livekit, session) as alice:
            cycles = [_one(here, alice, n, node_of(pod), supervisor) for n in range(rounds)]
        after = here.trial.session("call")
    assert after.pod == session.pod, f"another pod took over: {after.status}"
    times = [cycle.at - begin for cycle in cycles]
    plot.save(PLOT, "seconds", times, [_panel("Resident memory, MiB", MEMORY, cycles), *_counts(cycles)])
    latency = distribution("End of speech -> first audio, in s", {"every cycle": [c.latency for c in cycles]})
    note = f"![Memory, descriptors and processes over the cycles]({PLOT.name})"
    title = f"{rounds} conversations, {rounds} resets, one pod, {times[-1] / 60:.0f} min"
    surveys = [cycle.survey for cycle in cycles]
    return Section("soak", "10. Soak", [table(title, times, surveys), latency], [NOTE, note], misses(times, surveys))


NOTE = (
    "In each cycle she comes, says one sentence, is answered and leaves; the pod is looked at before she leaves. "
    "The first fifth of the cycles is the warm-up. Growth is the slope of a least-squares line through all that "
    "follow, in percent of their mean; where they took less than an hour, that of their time, extrapolated. "
    f"Asked for: memory below {MAX_GROWTH:g} % per hour, descriptors no more in the last fifth (p50) than "
    "in the first after the warm-up, and no zombie in any cycle."
)


def misses(times: Sequence[float], surveys: Sequence[Survey]) -> list[str]:
    """What is not as it must be."""
    warm = len(surveys) // WARM_UP_PART
    found = []
    for name, measure in MEMORY.items():
        growth = growth_per_hour(times[warm:], [measure(s) for s in surveys[warm:]])
        if growth >= MAX_GROWTH:
            found.append(f"{name}: {growth:+.1f} % of memory per hour, not below {MAX_GROWTH:g} %")
    for name, measure in DESCRIPTORS.items():
        more = _more_at_the_end([measure(s) for s in surveys])
        if more > 0:
            found.append(f"{name}: {more:g} descriptors more at the end than after the warm-up")
    zombies = sum(survey.zombies > 0 for survey in surveys)
    return [*found, *([f"zombies were seen in {zombies} cycles"] if zombies else [])]


def _more_at_the_end(values: Sequence[float]) -> float:
    """By the medians of the fifth that follows the warm-up and of the last fifth."""
    part = max(1, len(values) // WARM_UP_PART)
    warm = values[part : 2 * part] or values
    return percentile(values[-part:], 50) - percentile(warm, 50)


def _one(here: Ground, alice: Guest, number: int, node: str, supervisor: int) -> Cycle:
    alice.come()
    alice.meet()
    answer = alice.say(SENTENCE)
    cycle = Cycle(time.time(), survey(node, supervisor), answer.latency)
    alice.leave()
    here.trial.reset_complete("call", number + 1, LONGEST)
    seen = cycle.survey
    here.say(
        f"{number + 1}: supervisor {seen.supervisor.rss / MIB:.1f} MiB, {seen.supervisor.descriptors} descriptors; "
        f"{len(seen.all)} processes, {MEMORY['all processes'](seen):.1f} MiB, {seen.zombies} zombies"
    )
    return cycle


def _counts(cycles: Sequence[Cycle]) -> list[Panel]:
    return [_panel("Open descriptors", DESCRIPTORS, cycles), _panel("Processes", PROCESSES, cycles)]


def _panel(title: str, measures: dict[str, Measure], cycles: Sequence[Cycle]) -> Panel:
    return Panel(title, {name: [measure(c.survey) for c in cycles] for name, measure in measures.items()})


def table(title: str, times: Sequence[float], surveys: Sequence[Survey]) -> Table:
    """Memory with a tenth of a MiB, counts whole."""
    head = ["what", "first", "after warm-up", "last", "p50", "max", "growth per hour after warm-up"]
    made = Table(title, head)
    for unit, digits, measures in ((", MiB", 1, MEMORY), (", descriptors", 0, DESCRIPTORS), ("", 0, PROCESSES)):
        for name, measure in measures.items():
            made.rows.append([f"{name}{unit}", *_row(times, [measure(s) for s in surveys], digits)])
    return made


def _row(times: Sequence[float], values: Sequence[float], digits: int) -> list[str]:
    warm = len(values) // WARM_UP_PART
    growth = growth_per_hour(times[warm:], values[warm:])
    figures = (values[0], values[warm], values[-1], percentile(values, 50), max(values))
    return [*(f"{value:.{digits}f}" for value in figures), f"{growth:+.1f} %"]
