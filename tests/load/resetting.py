"""From the last human's leaving until a new job is in the room, and what it is made of; no grace."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from tests.e2e import podlog
from tests.e2e.attendance import Attendance
from tests.e2e.faults import webhooks_dropped
from tests.e2e.guest import Guest
from tests.e2e.kubectl import Session
from tests.e2e.objects import RESET
from tests.e2e.waiting import until
from tests.load.figures import Section, Table, distribution
from tests.load.ground import Ground, ground

LONGEST = 60
STAY_SECONDS = 0.5
AT_ONCE = 5
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
    notes = [
        "As above, while LiveKit's webhooks reach nobody: the pod, the operator's poll and LiveKit's list decide. "
        f"Most of it is waiting for a poll, so {AT_ONCE} sessions, each with a person of its own, are measured at once."
    ]
    return _measure("resetting-without-webhooks", "8. Resets with every webhook dropped", rounds, notes, dropped=True)


def _measure(name: str, title: str, rounds: int, notes: list[str], *, dropped: bool) -> Section:
    with ground(name) as here:
        here.example_agent("greeting", onLastHumanLeft=RESET)
        here.kube.wait("voiceagent/agent-66", "condition=Ready", here.trial.namespace, 120)
        names = [f"call-{number}" for number in range(min(rounds, AT_ONCE) if dropped else 1)]
        sessions = [here.trial.ready(call, "agent-66", grace=0, reconnect_grace=0) for call in names]
        each = rounds // len(names)
        with webhooks_dropped(here.kube) if dropped else nullcontext(), ThreadPoolExecutor(len(names)) as pool:
            series = pool.map(lambda call, session: _series(here, call, session, each), names, sessions)
            taken = [seconds for each in series for seconds in each]
        samples = {"last human out -> new job in the room": taken} | _from_logs(here, [s.pod for s in sessions])
        table = distribution("In s; the grace is 0", samples)
    return Section(name, title, [table, _spread(taken)], notes)


def _series(here: Ground, call: str, session: Session, rounds: int) -> list[float]:
    with (
        Guest(here.trial.livekit, session) as alice,
        Attendance(here.trial.livekit, session.room, session.identity) as agents,
    ):
        return [_one(here, call, alice, agents, number + 1) for number in range(rounds)]


def _one(here: Ground, call: str, alice: Guest, agents: Attendance, number: int) -> float:
    """Seconds of one reset; the next visit begins when the operator, too, has seen the end of this one."""
    alice.come()
    until(lambda: here.trial.session(call).status.get("humans"), "status.humans", LONGEST)
    alice.stay(STAY_SECONDS)
    before = agents.sids
    left = alice.leave()
    took = agents.first_other_than(before, left, LONGEST) - left
    here.trial.reset_complete(call, number, LONGEST)
    here.say(f"{call}, {number}: {took * 1000:.0f} ms")
    return took


def _from_logs(here: Ground, pods: list[str]) -> dict[str, list[float]]:
    return {
        what: [
            ms / 1000
            for pod in pods
            for ms in podlog.milliseconds(podlog.entries(here.kube, pod, here.trial.namespace, event))
        ]
        for what, event in MILLISECONDS.items()
    }


def _spread(taken: list[float]) -> Table:
    """How many were within the aims."""
    table = Table("Within the aims", ["within", "resets"])
    table.rows = [[f"{aim:g} s", f"{sum(t <= aim for t in taken)} of {len(taken)}"] for aim in (0.2, 0.5, 1.0)]
    return table
