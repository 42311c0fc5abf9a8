"""From the last human's leaving until a new job is in the room, and what it is made of; no grace."""

from contextlib import nullcontext

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, Table, distribution, percentile
from tests.support.cluster.faults import webhooks_dropped
from tests.support.cluster.manifests import RESET
from tests.support.observability import pod_log
from tests.support.observability.room_sampler import Attendance
from tests.support.participants.speaker import Guest
from tests.support.polling import until

LONGEST = 60
STAY_SECONDS = 0.5
TITLE = "In s; the grace is 0"
WHOLE = "last human out -> new job in the room"
MEMORY = "memory loaded for the new job"
MILLISECONDS = {
    "the pod: told -> new job joined": "reset_complete",
    "the pod: the old job's background work cancelled": "background_cancelled",
    MEMORY: "memory_reloaded",
}
"""What the pod's own log says, by event."""
AIMS = ((WHOLE, 50, 0.2), (WHOLE, 99, 1.0), (MEMORY, 99, 0.04))
"""Which percentile of what shall be at most how many seconds, with webhooks."""


def run(rounds: int) -> Section:
    notes = [
        "She has an open microphone, graces are 0. Her leaving is the moment before her client says so; the new job "
        "counts from the first of LiveKit's participant lists, asked every 20 ms, that has it.",
        "Memory comes from the supervisor's cache; the system that this one replaces needed 300 to 500 ms for it.",
    ]
    samples = _measure("resetting", rounds, dropped=False)
    tables = [distribution(TITLE, samples), _spread(samples[WHOLE]), aims(samples)]
    return Section("resetting", "7. Resets", tables, notes)


def run_without_webhooks(rounds: int) -> Section:
    notes = [
        "As above, while LiveKit's webhooks reach nobody: that she has left comes to the operator from the agent's pod."
    ]
    samples = _measure("resetting-without-webhooks", rounds, dropped=True)
    tables = [distribution(TITLE, samples), _spread(samples[WHOLE])]
    return Section("resetting-without-webhooks", "8. Resets with every webhook dropped", tables, notes)


def aims(samples: dict[str, list[float]]) -> Table:
    """Each aim, what was measured, and whether that is within it."""
    table = Table("The aims", ["aim", "measured", ""])
    for what, percent, seconds in AIMS:
        taken = percentile(samples[what], percent) if samples[what] else float("inf")
        verdict = "met" if taken <= seconds else "missed"
        table.rows.append([f"{what}: p{percent} at most {seconds:g} s", f"{taken:.3f} s", verdict])
    return table


def _measure(name: str, rounds: int, *, dropped: bool) -> dict[str, list[float]]:
    """Seconds by what was measured."""
    with ground(name) as here:
        here.example_agent("greeting", onLastHumanLeft=RESET)
        here.kube.wait("voiceagent/agent-66", "condition=Ready", here.trial.namespace, 120)
        session = here.trial.ready("call", "agent-66", grace=0, reconnect_grace=0)
        with (
            webhooks_dropped(here.kube) if dropped else nullcontext(),
            Guest(here.trial.livekit, session) as alice,
            Attendance(here.trial.livekit, session.room, session.identity) as agents,
        ):
            taken = [_one(here, alice, agents, number + 1) for number in range(rounds)]
        return {WHOLE: taken} | _from_log(here, session.pod)


def _one(here: Ground, alice: Guest, agents: Attendance, number: int) -> float:
    """Seconds of one reset; the next visit begins when the operator, too, has seen the end of this one."""
    alice.come()
    until(lambda: here.trial.session("call").status.get("humans"), "status.humans", LONGEST)
    alice.stay(STAY_SECONDS)
    before = agents.sids
    left = alice.leave()
    took = agents.first_other_than(before, left, LONGEST) - left
    here.trial.reset_complete("call", number, LONGEST)
    here.say(f"{number}: {took * 1000:.0f} ms")
    return took


def _from_log(here: Ground, pod: str) -> dict[str, list[float]]:
    found = {w: pod_log.entries(here.kube, pod, here.trial.namespace, event) for w, event in MILLISECONDS.items()}
    return {what: [ms / 1000 for ms in pod_log.milliseconds(entries)] for what, entries in found.items()}


def _spread(taken: list[float]) -> Table:
    """How many were within the aims."""
    table = Table("Within the aims", ["within", "resets"])
    table.rows = [[f"{aim:g} s", f"{sum(t <= aim for t in taken)} of {len(taken)}"] for aim in (0.2, 0.5, 1.0)]
    return table
