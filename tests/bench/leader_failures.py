"""The leader is killed while sessions are made and while they are torn down: what is left over, or doubled?"""

import random
import time

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import operator_pods

SESSIONS = 3
LONGEST = 180
WINDOW_SECONDS = 1.5
"""The kill comes at a random moment of the time in which three sessions are being made or removed."""


def run(rounds: int) -> Section:
    made: list[float] = []
    removed: list[float] = []
    wrong = {"mid-create": [0, 0, 0], "mid-teardown": [0, 0, 0]}
    with ground("leaders") as here:
        for number in range(rounds):
            _add(wrong["mid-create"], _create(here, number, made))
            _add(wrong["mid-teardown"], _tear_down(here, number, removed))
            here.say(f"{number + 1}/{rounds}: made in {made[-1]:.1f} s, removed in {removed[-1]:.1f} s")
    table = Table("Left over or doubled", ["leader killed", "rounds", "sessions", "rooms", "pods"])
    table.rows = [[what, str(rounds), *map(str, counts)] for what, counts in wrong.items()]
    times = {"kill -> all Ready": made, "kill -> nothing left": removed}
    return Section("leaders", "5. The leader killed", [table, distribution("With takeover, in s", times)], [NOTE])


NOTE = (
    f"Each round makes and removes {SESSIONS} sessions; 0 in every column means nothing too many and nothing too few."
)


def _names(number: int) -> list[str]:
    return [f"r{number}-{index}" for index in range(SESSIONS)]


def _create(here: Ground, number: int, took: list[float]) -> list[int]:
    for name in _names(number):
        here.trial.start(name)
    begin = _kill_at_random(here)
    for name in _names(number):
        here.kube.wait(f"voicesession/{name}", "condition=Ready", here.trial.namespace, LONGEST)
    took.append(time.monotonic() - begin)
    counts = _counts(here)
    return [abs(count - SESSIONS) for count in counts]


def _tear_down(here: Ground, number: int, took: list[float]) -> list[int]:
    for name in _names(number):
        here.kube.delete("voicesession", name, here.trial.namespace, "--wait=false")
    begin = _kill_at_random(here)
    operator_pods.leader(here.kube, LONGEST)
    try:
        here.trial.gone(LONGEST)
    except AssertionError as left:
        here.say(str(left))
    took.append(time.monotonic() - begin)
    return _counts(here)


def _kill_at_random(here: Ground) -> float:
    time.sleep(random.uniform(0, WINDOW_SECONDS))  # noqa: S311  the moment of a fault, not a secret
    begin = time.monotonic()
    operator_pods.kill_leader(here.kube)
    return begin


def _counts(here: Ground) -> list[int]:
    """Sessions, rooms and live pods of the namespace."""
    sessions = here.kube.all("voicesessions", here.trial.namespace)
    return [len(sessions), len(here.trial.livekit.rooms(here.trial.namespace)), len(here.trial.pods())]


def _add(sums: list[int], counts: list[int]) -> None:
    for index, count in enumerate(counts):
        sums[index] += count
