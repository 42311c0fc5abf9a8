"""From the last human's leaving until pod and room are gone, less the grace."""

import time
from collections.abc import Callable

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, distribution
from tests.support.cluster.faults import webhooks_dropped
from tests.support.participants.human import Visitor
from tests.support.polling import until

GRACE = 1
KILLED_ROUNDS = 3
DROPPED_ROUNDS = 5
LONGEST = 90

Leaving = Callable[[Visitor], None]


def run(rounds: int) -> Section:
    with ground("leaving") as here:
        left = [_one(here, f"left{n}", Visitor.leave) for n in range(rounds)]
        killed = [_one(here, f"killed{n}", Visitor.kill) for n in range(KILLED_ROUNDS)]
        with webhooks_dropped(here.kube):
            dropped = [_one(here, f"dropped{n}", Visitor.leave) for n in range(DROPPED_ROUNDS)]
    samples = {
        "left -> room gone": [room for room, _ in left],
        "left -> pod and room gone": [both for _, both in left],
        "killed (SIGKILL) -> pod and room gone": [both for _, both in killed],
        "left, every webhook dropped -> pod and room gone": [both for _, both in dropped],
    }
    note = f"Both graces are {GRACE} s and are subtracted. LiveKit itself needs 20 to 22 s to notice a killed process."
    return Section("leaving", "3. Hanging up", [distribution("Beyond the grace, in s", samples)], [note])


def _one(here: Ground, name: str, leaving: Leaving) -> tuple[float, float]:
    """Seconds beyond the grace until the room, and until both were gone."""
    trial = here.trial
    session = trial.ready(name, grace=GRACE, reconnect_grace=GRACE)
    visitor = trial.visit(name)
    begin = time.time()
    leaving(visitor)
    until(lambda: not trial.livekit.exists(session.room), f"room of {name} gone", LONGEST, poll=0.02)
    room_gone = time.time()
    pod_gone = here.timeline.at(name, "pod deleted", LONGEST)
    room, both = room_gone - begin - GRACE, max(room_gone, pod_gone) - begin - GRACE
    here.say(f"{name}: room {room:.2f} s, both {both:.2f} s")
    return room, both
