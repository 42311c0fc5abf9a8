"""The time from the last human leaving until a new job is in the room, and the time of its steps; no grace."""

from contextlib import nullcontext

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution, percentile
from tests.support.cluster.faults import webhooks_dropped
from tests.support.cluster.manifests import RESET
from tests.support.observability import pod_log
from tests.support.observability.room_sampler import RoomSampler
from tests.support.participants.speaker import Speaker
from tests.support.polling import until

LONGEST = 60
STAY_SECONDS = 0.5
TITLE = "In s; the grace is 0"
WHOLE = "last human out -> new job in the room"
MEMORY = "memory loaded for the new job"
MILLISECONDS = {
    "the pod: new epoch -> new job joined": "reset_complete",
    "the pod: the old job's background work cancelled": "background_cancelled",
    MEMORY: "memory_reloaded",
}
"""Steps with a duration in the pod's log, with their events."""
AIMS = ((WHOLE, 50, 0.2), (WHOLE, 99, 1.0), (MEMORY, 99, 0.04))
"""Aims with webhooks: step, percentile, and maximum in seconds."""


def run(rounds: int) -> Section:
    """Measure `rounds` resets."""
    notes = [
        "The human has an open microphone, the graces are 0. The time starts just before the client leaves and ends "
        "with the first of LiveKit's participant lists, read every 20 ms, that has the new job.",
        "Memory comes from the supervisor's cache; the system that this one replaces needed 300 to 500 ms for it.",
    ]
    samples = _measure("resetting", rounds, dropped=False)
    tables = [distribution(TITLE, samples), _spread(samples[WHOLE]), aims(samples)]
    return Section("resetting", "7. Resets", tables, notes)


def run_without_webhooks(rounds: int) -> Section:
    """Measure `rounds` resets while LiveKit's webhooks are dropped."""
    notes = ["As above, with LiveKit's webhooks dropped: the agent pod reports to the operator that the human left."]
    samples = _measure("resetting-without-webhooks", rounds, dropped=True)
    tables = [distribution(TITLE, samples), _spread(samples[WHOLE])]
    return Section("resetting-without-webhooks", "8. Resets with every webhook dropped", tables, notes)


def aims(samples: dict[str, list[float]]) -> Table:
    """Return a table of aims, measured values and results."""
    table = Table("The aims", ["aim", "measured", ""])
    for what, percent, seconds in AIMS:
        taken = percentile(samples[what], percent) if samples[what] else float("inf")
        result = "met" if taken <= seconds else "missed"
        table.rows.append([f"{what}: p{percent} at most {seconds:g} s", f"{taken:.3f} s", result])
    return table


def _measure(name: str, rounds: int, *, dropped: bool) -> dict[str, list[float]]:
    """Return the durations in seconds by step."""
    with bench_environment(name) as env:
        env.example_agent("greeting", onLastHumanLeft=RESET)
        env.kube.wait("voiceagent/agent-66", "condition=Ready", env.scenario.namespace, 120)
        session = env.scenario.start_session("call", "agent-66", grace=0, reconnect_grace=0)
        with (
            webhooks_dropped(env.kube) if dropped else nullcontext(),
            Speaker(env.scenario.livekit, session) as alice,
            RoomSampler(env.scenario.livekit, session.room, session.identity) as agents,
        ):
            taken = [_measure_one(env, alice, agents, number + 1) for number in range(rounds)]
        return {WHOLE: taken} | _from_log(env, session.pod)


def _measure_one(env: BenchEnvironment, alice: Speaker, agents: RoomSampler, number: int) -> float:
    """Return the seconds of one reset, after the operator has seen its end too."""
    alice.join()
    until(lambda: env.scenario.session("call").status.get("humans"), "status.humans", LONGEST)
    alice.wait(STAY_SECONDS)
    before = agents.sids
    left = alice.leave()
    took = agents.wait_for_new_sid(before, left, LONGEST) - left
    env.scenario.wait_for_reset("call", number, LONGEST)
    env.print_progress(f"{number}: {took * 1000:.0f} ms")
    return took


def _from_log(env: BenchEnvironment, pod: str) -> dict[str, list[float]]:
    found = {w: pod_log.entries(env.kube, pod, env.scenario.namespace, event) for w, event in MILLISECONDS.items()}
    return {what: [ms / 1000 for ms in pod_log.milliseconds(entries)] for what, entries in found.items()}


def _spread(taken: list[float]) -> Table:
    """Count the resets within each limit."""
    table = Table("Within the aims", ["within", "resets"])
    table.rows = [[f"{aim:g} s", f"{sum(t <= aim for t in taken)} of {len(taken)}"] for aim in (0.2, 0.5, 1.0)]
    return table
