"""Warm starts: claims and Ready one by one, at a rate, in a burst, with real models, and after the loss of a pod."""

import time
from dataclasses import dataclass

from voicesession_operator.domain.pods import STEADY_SECONDS

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution, percentile
from tests.support.cluster import manifests, operator_pods
from tests.support.observability.room_sampler import RoomSampler
from tests.support.polling import until

LONGEST = 300
POOL = "front"
BURST = 50
RATE, RATE_SECONDS = 15, 3
REAL_STARTS = 10
LOSSES = 10
ASKED_CLAIM = {50: 0.040, 90: 0.080, 99: 0.200}
ASKED_READY = {50: 0.250, 99: 0.700}
ASKED_BURST, ASKED_LOSS = 3.0, 1.5

QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"count/pods": "0"}}}


@dataclass(frozen=True)
class Losses:
    """Seconds from the deletion of a pod until the agent of the next one is in the room, and without any agent."""

    joined: list[float]
    gaps: list[float]


Times = dict[str, tuple[float, float]]
"""Seconds from apply until the claim, and until Ready, by session."""


def run(rounds: int) -> Section:
    """Measure; `rounds` is the number of starts one by one."""
    with bench_environment("warm") as env:
        single, writes = _one_by_one(env, rounds)
        rated = _at_rate(env, RATE * RATE_SECONDS, 1 / RATE)
        burst = _at_rate(env, BURST, 0.0)
        lost = _losses(env, LOSSES)
    with bench_environment("warm-models") as env:
        env.example_agent("memory")
        real = _real(env, REAL_STARTS)
    claims = {"one by one": [claim for claim, _ in single.values()]}
    claims |= {f"{RATE} a second for {RATE_SECONDS} s": [claim for claim, _ in rated.values()]}
    claims |= {f"{BURST} at once": [claim for claim, _ in burst.values()]}
    ready = {"one by one": [at for _, at in single.values()]}
    ready |= {f"{RATE} a second for {RATE_SECONDS} s": [at for _, at in rated.values()]}
    ready |= {f"{BURST} at once": [at for _, at in burst.values()]}
    ready |= {"one by one, embedded engines": real}
    rows = {"until the next agent is in the room": lost.joined, "longest time without an agent": lost.gaps}
    table = Table("API server", ["what", "figure"])
    table.rows = [
        ["writes of the operator per session one by one, with refill, end and the pool's status", f"{writes:.1f}"]
    ]
    tables = [
        distribution("Apply -> pod claimed, in s", claims),
        distribution("Apply -> Ready, in s", ready),
        distribution("Pod deleted in a call, a warm one waits, in s", rows),
        table,
    ]
    return Section("warm", "16. Warm", tables, [NOTE], _misses(claims, ready, burst, lost))


NOTE = (
    "Agents only join, except in the row with embedded engines: models of other pods would load on the same two cores. "
    "The claim is seen by a watch on pods, Ready by one on sessions. A node carries 110 pods, so a rate cannot last "
    "longer than its warm pods."
)


def _misses(claims: dict[str, list[float]], ready: dict[str, list[float]], burst: Times, lost: Losses) -> list[str]:
    found = [
        f"claim one by one: p{percent} {percentile(claims['one by one'], percent):.3f} s, asked {asked:.3f}"
        for percent, asked in ASKED_CLAIM.items()
        if percentile(claims["one by one"], percent) > asked
    ]
    found += [
        f"Ready one by one: p{percent} {percentile(ready['one by one'], percent):.3f} s, asked {asked:.3f}"
        for percent, asked in ASKED_READY.items()
        if percentile(ready["one by one"], percent) > asked
    ]
    slowest = max(at for _, at in burst.values())
    found += [f"burst: the last of {BURST} Ready after {slowest:.1f} s"] if slowest > ASKED_BURST else []
    late = percentile(lost.joined, 99)
    return found + ([f"lost pod: p99 {late:.2f} s, asked {ASKED_LOSS}"] if late > ASKED_LOSS else [])


def _warm_up(env: BenchEnvironment, count: int, agent: str = "fake") -> None:
    """Let the pool have so many warm pods, and the machine come to rest."""
    bounds = {"min": count, "max": count}
    env.kube.apply(manifests.pool(POOL, env.scenario.namespace, agent, warm=bounds))
    env.wait_until_warm(POOL, count, LONGEST)


def _one_by_one(env: BenchEnvironment, rounds: int) -> tuple[Times, float]:
    times: Times = {}
    _warm_up(env, 2)
    before = _writes(env)
    for number in range(rounds):
        times |= _start(env, [f"s{number}"], 0.0)
        _end(env, [f"s{number}"])
        env.wait_until_warm(POOL, 2, LONGEST)
    env.print_progress(f"{rounds} starts one by one")
    return times, (_writes(env) - before) / rounds


def _at_rate(env: BenchEnvironment, count: int, pause: float) -> Times:
    """Start as many sessions as there are warm pods. A quota keeps the pool from refilling beside them."""
    _warm_up(env, count)
    names = [f"r{count}-{number}" for number in range(count)]
    env.kube.apply(QUOTA | {"metadata": {"name": "full", "namespace": env.scenario.namespace}})
    found = _start(env, names, pause)
    env.print_progress(f"{count} starts, the last Ready after {max(at for _, at in found.values()):.2f} s")
    env.kube.delete("resourcequota", "full", env.scenario.namespace)
    _end(env, names)
    return found


def _start(env: BenchEnvironment, names: list[str], pause: float) -> Times:
    applied = {}
    for name in names:
        applied[name] = env.timeline.create(manifests.session(name, env.scenario.namespace))
        time.sleep(pause)
    claimed = {name: env.timeline.at(name, "pod created", LONGEST) for name in names}
    ready = {name: env.timeline.at(name, "Ready", LONGEST) for name in names}
    return {name: (claimed[name] - applied[name], ready[name] - applied[name]) for name in names}


def _end(env: BenchEnvironment, names: list[str]) -> None:
    for name in names:
        env.kube.delete("voicesession", name, env.scenario.namespace, "--wait=false")
    until(lambda: not env.scenario.livekit.rooms(env.scenario.namespace), "no rooms", LONGEST)


def _losses(env: BenchEnvironment, count: int) -> Losses:
    """Delete pods that have been in the room for STEADY_SECONDS; earlier ones would be replaced after a backoff."""
    _warm_up(env, 2)
    session = env.scenario.start_session("lost", max_replacements=100, reconnect_grace=300)
    env.scenario.join_human("lost")
    found = Losses([], [])
    for _ in range(count):
        env.wait_until_warm(POOL, 2, LONGEST)
        time.sleep(STEADY_SECONDS)
        lost, old = env.scenario.session("lost").pod, env.scenario.agent_sid(session)
        with RoomSampler(env.scenario.livekit, session.room, session.identity) as agents:
            begin = time.time()
            env.kube.delete("pod", lost, env.scenario.namespace, "--wait=false")
            joined_at = agents.wait_for_new_sid(frozenset({old}), begin, LONGEST)
            found.joined.append(joined_at - begin)
            found.gaps.append(agents.longest_gap(begin, joined_at))
        until(lambda: env.scenario.session("lost").pod != lost, "another pod", LONGEST)  # noqa: B023
    assert env.scenario.session("lost").room == session.room
    env.print_progress(f"{count} pods lost, the slowest replaced after {max(found.joined):.2f} s")
    return found


def _real(env: BenchEnvironment, count: int) -> list[float]:
    found = []
    for number in range(count):
        _warm_up(env, 1, "agent-66")
        time.sleep(2)
        name = f"m{number}"
        document = manifests.session(name, env.scenario.namespace, "agent-66")
        begin = env.timeline.create(document)
        found.append(env.timeline.at(name, "Ready", LONGEST) - begin)
        _end(env, [name])
    return found


def _writes(env: BenchEnvironment) -> float:
    return operator_pods.metrics(env.kube)["voicesession_kubernetes_writes_total"]
