"""The time from the last human leaving until pod and room are gone, without the grace."""

import time
from collections.abc import Callable

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, distribution
from tests.support.cluster.faults import webhooks_dropped
from tests.support.participants.human import SilentHuman
from tests.support.polling import until

GRACE = 1
KILLED_ROUNDS = 3
DROPPED_ROUNDS = 5
LONGEST = 90

Leaving = Callable[[SilentHuman], None]


def run(rounds: int) -> Section:
    """Measure `rounds` teardowns, and a few with killed humans and with dropped webhooks."""
    with bench_environment("leaving") as env:
        left = [_measure_one(env, f"left{n}", SilentHuman.leave) for n in range(rounds)]
        killed = [_measure_one(env, f"killed{n}", SilentHuman.kill) for n in range(KILLED_ROUNDS)]
        with webhooks_dropped(env.kube):
            dropped = [_measure_one(env, f"dropped{n}", SilentHuman.leave) for n in range(DROPPED_ROUNDS)]
    samples = {
        "left -> room gone": [room for room, _ in left],
        "left -> pod and room gone": [both for _, both in left],
        "killed (SIGKILL) -> pod and room gone": [both for _, both in killed],
        "left, every webhook dropped -> pod and room gone": [both for _, both in dropped],
    }
    note = f"Both graces are {GRACE} s and are subtracted. LiveKit itself needs 20 to 22 s to notice a killed process."
    return Section("leaving", "3. Hanging up", [distribution("Beyond the grace, in s", samples)], [note])


def _measure_one(env: BenchEnvironment, name: str, leaving: Leaving) -> tuple[float, float]:
    """Return the seconds beyond the grace until the room is gone, and until room and pod are gone."""
    scenario = env.scenario
    session = scenario.start_session(name, grace=GRACE, reconnect_grace=GRACE)
    human = scenario.join_human(name)
    begin = time.time()
    leaving(human)
    until(lambda: not scenario.livekit.exists(session.room), f"room of {name} gone", LONGEST, poll=0.02)
    room_gone = time.time()
    pod_gone = env.timeline.at(name, "pod deleted", LONGEST)
    room, both = room_gone - begin - GRACE, max(room_gone, pod_gone) - begin - GRACE
    env.print_progress(f"{name}: room {room:.2f} s, both {both:.2f} s")
    return room, both
