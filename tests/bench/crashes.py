"""The time from a crash during a call until a new agent is in the same room."""

import time

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, distribution
from tests.e2e.test_crash import CRASHES, Crash
from tests.support.polling import until

LONGEST = 120


def run(rounds: int) -> Section:
    """Measure `rounds` crashes of each kind."""
    samples: dict[str, list[float]] = {}
    with bench_environment("crashing") as env:
        env.example_agent("memory")
        for what, crash in CRASHES.items():
            samples[what] = [_measure_one(env, f"{what.replace(' ', '-')}{n}", crash) for n in range(rounds)]
    table = distribution("Crash -> a new agent is ACTIVE in the same room, in s", samples)
    return Section("crashing", "4. Crashes in the middle of a call", [table], [NOTE])


NOTE = "A human is in the room all the time. The job is restarted by its supervisor; otherwise a new pod takes over."


def _measure_one(env: BenchEnvironment, name: str, crash: Crash) -> float:
    scenario = env.scenario
    session = scenario.start_session(name, "agent-66")
    human = scenario.join_human(name)
    old = scenario.agent_sid(session)
    begin = time.monotonic()
    crash.cause(scenario.kube, session.pod, scenario.namespace)
    until(lambda: scenario.agent_sid(session) not in ("", old), f"a new agent for {name}", LONGEST, poll=0.02)
    took = time.monotonic() - begin
    env.print_progress(f"{name}: {took:.2f} s")
    human.leave()
    scenario.kube.delete("voicesession", name, scenario.namespace)
    scenario.wait_until_empty()
    return took
