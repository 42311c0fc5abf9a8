"""Many conversations in one pod: do its processes keep their size?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.e2e import nodes
from tests.e2e.guest import Guest
from tests.e2e.objects import RESET
from tests.e2e.processes import Survey, node_of, survey
from tests.load import plot
from tests.load.figures import PAGE, Section, Table, distribution, percentile
from tests.load.ground import Ground, ground
from tests.load.plot import Panel
from tests.load.trend import growth_per_hour

PLOT = PAGE.parent / "soak.svg"
MIB = 2**20
WARM_UP_PART = 5
"""The first fifth of the cycles fills caches and is left out of every growth."""
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
    return Section("soak", "10. Soak", [_table(title, times, cycles), latency], [NOTE, note])


NOTE = (
    "In each cycle she comes, says one sentence, is answered and leaves; the pod is looked at before she leaves. "
    "Growth is the slope of a least-squares line through the last four fifths of the cycles, in percent of their mean."
)


def _one(here: Ground, alice: Guest, number: int, node: str, supervisor: int) -> Cycle:
    alice.come()
    alice.meet()
    answer = alice.say(SENTENCE)
    cycle = Cycle(time.time(), survey(node, supervisor), answer.latency)
    alice.leave()
    here.trial.reset_complete("call", number + 1, LONGEST)
    seen = cycle.survey
    here.say(
        f"{number + 1}: supervisor {seen.supervisor.rss / MIB:.0f} MiB, {seen.supervisor.descriptors} descriptors; "
        f"{len(seen.all)} processes, {MEMORY['all processes'](seen):.0f} MiB, {seen.zombies} zombies"
    )
    return cycle


def _counts(cycles: Sequence[Cycle]) -> list[Panel]:
    return [_panel("Open descriptors", DESCRIPTORS, cycles), _panel("Processes", PROCESSES, cycles)]


def _panel(title: str, measures: dict[str, Measure], cycles: Sequence[Cycle]) -> Panel:
    return Panel(title, {name: [measure(c.survey) for c in cycles] for name, measure in measures.items()})


def _table(title: str, times: Sequence[float], cycles: Sequence[Cycle]) -> Table:
    table = Table(title, ["what", "first", "last", "p50", "max", "growth per hour after warm-up"])
    for unit, measures in ((" MiB", MEMORY), (" descriptors", DESCRIPTORS), ("", PROCESSES)):
        for name, measure in measures.items():
            table.rows.append(_row(f"{name}{unit and ','}{unit}", times, [measure(c.survey) for c in cycles]))
    return table


def _row(name: str, times: Sequence[float], values: Sequence[float]) -> list[str]:
    warm = len(values) // WARM_UP_PART
    growth = growth_per_hour(times[warm:], values[warm:])
    figures = (values[0], values[-1], percentile(values, 50), max(values))
    return [name, *(f"{value:.0f}" for value in figures), f"{growth:+.1f} %"]
