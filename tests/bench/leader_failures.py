"""Deaths of the leader while sessions start and while they end: missing, leftover and duplicate objects."""

import random
import time

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import operator_pods
from tests.support.polling import until

SESSIONS = 3
LONGEST = 180
WINDOW_SECONDS = 1.5
"""The leader is killed at a random moment while three sessions start or end."""


def run(rounds: int) -> Section:
    """Kill the leader `rounds` times in each situation."""
    followed: list[float] = []
    made: list[float] = []
    removed: list[float] = []
    wrong = {"mid-create": [0, 0, 0], "mid-teardown": [0, 0, 0]}
    with bench_environment("leaders") as env:
        for number in range(rounds):
            _add(wrong["mid-create"], _create(env, number, followed, made))
            _add(wrong["mid-teardown"], _tear_down(env, number, followed, removed))
            env.print_progress(f"{number + 1}/{rounds}: made in {made[-1]:.1f} s, removed in {removed[-1]:.1f} s")
    table = Table("Left over or doubled", ["leader killed", "rounds", "sessions", "rooms", "pods"])
    table.rows = [[what, str(rounds), *map(str, counts)] for what, counts in wrong.items()]
    times = {
        "kill -> next leader": followed,
        "kill -> all Ready": made,
        "kill -> nothing left": removed,
    }
    return Section("leaders", "5. The leader killed", [table, distribution("With takeover, in s", times)], [NOTE])


NOTE = (
    f"Each round makes and removes {SESSIONS} sessions; 0 in every column means nothing too many and nothing too few."
)


def _names(number: int) -> list[str]:
    return [f"r{number}-{index}" for index in range(SESSIONS)]


def _create(env: BenchEnvironment, number: int, followed: list[float], took: list[float]) -> list[int]:
    for name in _names(number):
        env.scenario.apply_session(name)
    begin = _kill_at_random(env, followed)
    for name in _names(number):
        env.kube.wait(f"voicesession/{name}", "condition=Ready", env.scenario.namespace, LONGEST)
    took.append(time.monotonic() - begin)
    counts = _counts(env)
    return [abs(count - SESSIONS) for count in counts]


def _tear_down(env: BenchEnvironment, number: int, followed: list[float], took: list[float]) -> list[int]:
    for name in _names(number):
        env.kube.delete("voicesession", name, env.scenario.namespace, "--wait=false")
    begin = _kill_at_random(env, followed)
    operator_pods.leader(env.kube, LONGEST)
    try:
        env.scenario.wait_until_empty(LONGEST)
    except AssertionError as left:
        env.print_progress(str(left))
    took.append(time.monotonic() - begin)
    return _counts(env)


def _kill_at_random(env: BenchEnvironment, followed: list[float]) -> float:
    """Kill the leader and wait for the next one, which can be the next process of its pod. Return the time of the kill.

    The pod is deleted only then, because its status shows the death, and because repeated restarts back off.
    """
    pod, killed = operator_pods.leader(env.kube), operator_pods.holder_process(env.kube)
    time.sleep(random.uniform(0, WINDOW_SECONDS))  # noqa: S311  the moment of a fault, not a secret
    begin = time.monotonic()
    operator_pods.kill(pod)
    until(lambda: operator_pods.holder_process(env.kube) not in ("", killed), "another holder of the Lease", LONGEST)
    followed.append(time.monotonic() - begin)
    if operator_pods.holder(env.kube) != pod["metadata"]["name"]:
        operator_pods.delete(env.kube, pod["metadata"]["name"])
    return begin


def _counts(env: BenchEnvironment) -> list[int]:
    """Return the numbers of sessions, rooms and agent pods of the namespace."""
    sessions = env.kube.all("voicesessions", env.scenario.namespace)
    return [len(sessions), len(env.scenario.livekit.rooms(env.scenario.namespace)), len(env.scenario.agent_pods())]


def _add(sums: list[int], counts: list[int]) -> None:
    for index, count in enumerate(counts):
        sums[index] += count
