"""From the last human's leaving until a new job is in the room, and what it is made of; no grace."""

from contextlib import nullcontext

from tests.e2e import podlog
from tests.e2e.attendance import Attendance
from tests.e2e.faults import webhooks_dropped
from tests.e2e.guest import Guest
from tests.e2e.objects import RESET
from tests.e2e.waiting import until
from tests.load.figures import Section, Table, distribution
from tests.load.ground import Ground, ground

LONGEST = 60
STAY_SECONDS = 0.5
MILLISECONDS = {
    "the pod: told -> new job joined": "reset_complete",
    "the pod: the old job's background work cancelled": "background_cancelled",
    "memory loaded for the new job": "memory_reloaded",
}
"""What the pod's own log says, by event."""


def run(rounds: int) -> Section:
    notes = [
        "She has an open microphone, graces are 0. Her leaving is the moment before her client says so; the new job "
        "counts from the first of LiveKit's participant lists, asked every 20 ms, that has it.",
        "Memory comes from the supervisor's cache; the system that this one replaces needed 300 to 500 ms for it.",
    ]
    return _measure("resetting", "7. Resets", rounds, notes, dropped=False)


def run_without_webhooks(rounds: int) -> Section:
    notes = ["As above, while LiveKit's webhooks reach nobody: the pod, the operator's poll and LiveKit's list decide."]
    return _measure("resetting-without-webhooks", "8. Resets with every webhook dropped", rounds, notes, dropped=True)


def _measure(name: str, title: str, rounds: int, notes: list[str], *, dropped: bool) -> Section:
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
        samples = {"last human out -> new job in the room": taken} | _from_log(here, session.pod)
        table = distribution("In s; the grace is 0", samples)
    return Section(name, title, [table, _spread(taken)], notes)


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
    found = {what: podlog.entries(here.kube, pod, here.trial.namespace, event) for what, event in MILLISECONDS.items()}
    return {what: [ms / 1000 for ms in podlog.milliseconds(entries)] for what, entries in found.items()}


def _spread(taken: list[float]) -> Table:
    """How many were within the aims."""
    table = Table("Within the aims", ["within", "resets"])
    table.rows = [[f"{aim:g} s", f"{sum(t <= aim for t in taken)} of {len(taken)}"] for aim in (0.2, 0.5, 1.0)]
    return table
