"""Many conversations in one pod: growth of memory, descriptors and processes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench import plot
from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import PAGE, Section, Table, distribution, percentile
from tests.bench.plot import Panel
from tests.bench.trend import growth_per_hour
from tests.support.cluster import nodes
from tests.support.cluster.manifests import RESET
from tests.support.cluster.pod_processes import Survey, node_of, survey
from tests.support.participants.speaker import Speaker

PLOT = PAGE.parent / "soak.svg"
MIB = 2**20
WARM_UP_PART = 5
"""The first fifth of the cycles fills caches and does not count for growth."""
MAX_GROWTH = 5.0
"""Allowed growth of resident memory in percent per hour."""
LONGEST = 60
SENTENCE = "Test one"

Measure = Callable[[Survey], float]
MEMORY: dict[str, Measure] = {
    "supervisor": lambda s: s.supervisor.rss / MIB,
    "largest other process": lambda s: max((p.rss for p in s.others), default=0) / MIB,
    "all processes (anonymous)": lambda s: sum(p.anonymous for p in s.all) / MIB,
}
"""Resident memory of single processes, and the memory of the pod that no file backs and no other pod shares."""
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
    """Measurements at the end of one conversation, while its job is in the room."""

    at: float
    survey: Survey
    latency: float


def run(rounds: int) -> Section:
    """Measure `rounds` conversations."""
    with bench_environment("soak") as env:
        env.example_agent("greeting", onLastHumanLeft=RESET)
        env.kube.wait("voiceagent/agent-66", "condition=Ready", env.scenario.namespace, 120)
        session = env.scenario.start_session("call", "agent-66", grace=0, reconnect_grace=0, max_duration=86400)
        pod = nodes.agent_pod(env.kube, session.pod, env.scenario.namespace)
        supervisor, begin = nodes.supervisor(pod), time.time()
        with Speaker(env.scenario.livekit, session) as alice:
            cycles = [_measure_one(env, alice, n, node_of(pod), supervisor) for n in range(rounds)]
        after = env.scenario.session("call")
    assert after.pod == session.pod, f"another pod took over: {after.status}"
    times = [cycle.at - begin for cycle in cycles]
    plot.save(PLOT, "seconds", times, [_panel("Resident memory, MiB", MEMORY, cycles), *_counts(cycles)])
    latency = distribution("End of speech -> first audio, in s", {"every cycle": [c.latency for c in cycles]})
    note = f"![Memory, descriptors and processes over the cycles]({PLOT.name})"
    title = f"{rounds} conversations, {rounds} resets, one pod, {times[-1] / 60:.0f} min"
    surveys = [cycle.survey for cycle in cycles]
    return Section("soak", "10. Soak", [table(title, times, surveys), latency], [NOTE, note], misses(times, surveys))


NOTE = (
    "In each cycle a human joins, says one sentence, gets an answer and leaves; the pod is measured before that. "
    "The first fifth of the cycles is the warm-up. Growth is the slope of a least-squares line through the others, "
    "in percent of their mean; it is extrapolated if they took less than an hour. "
    f"Aims: memory below {MAX_GROWTH:g} % per hour, not more descriptors in the last fifth (p50) than "
    "in the first fifth after the warm-up, and no zombie in any cycle."
)


def misses(times: Sequence[float], surveys: Sequence[Survey]) -> list[str]:
    """Return the missed aims."""
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
    """Return the difference of the medians of the last fifth and of the fifth after the warm-up."""
    part = max(1, len(values) // WARM_UP_PART)
    warm = values[part : 2 * part] or values
    return percentile(values[-part:], 50) - percentile(warm, 50)


def _measure_one(env: BenchEnvironment, alice: Speaker, number: int, node: str, supervisor: int) -> Cycle:
    alice.join()
    alice.wait_for_agent()
    answer = alice.say(SENTENCE)
    cycle = Cycle(time.time(), survey(node, supervisor), answer.latency)
    alice.leave()
    env.scenario.wait_for_reset("call", number + 1, LONGEST)
    seen = cycle.survey
    env.print_progress(
        f"{number + 1}: supervisor {seen.supervisor.rss / MIB:.1f} MiB, {seen.supervisor.descriptors} descriptors; "
        f"{len(seen.all)} processes, {MEMORY['all processes (anonymous)'](seen):.1f} MiB, {seen.zombies} zombies"
    )
    return cycle


def _counts(cycles: Sequence[Cycle]) -> list[Panel]:
    return [_panel("Open descriptors", DESCRIPTORS, cycles), _panel("Processes", PROCESSES, cycles)]


def _panel(title: str, measures: dict[str, Measure], cycles: Sequence[Cycle]) -> Panel:
    return Panel(title, {name: [measure(c.survey) for c in cycles] for name, measure in measures.items()})


def table(title: str, times: Sequence[float], surveys: Sequence[Survey]) -> Table:
    """Return a table with memory in tenths of a MiB, and whole counts."""
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
