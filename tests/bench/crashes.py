"""From a crash in the middle of a call until a new agent is in the same room."""

import time

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, distribution
from tests.e2e.test_crash import CRASHES, Crash
from tests.support.polling import until

LONGEST = 120


def run(rounds: int) -> Section:
    samples: dict[str, list[float]] = {}
    with ground("crashing") as here:
        here.example_agent("memory")
        for what, crash in CRASHES.items():
            samples[what] = [_one(here, f"{what.replace(' ', '-')}{n}", crash) for n in range(rounds)]
    table = distribution("Crash -> a new agent is ACTIVE in the same room, in s", samples)
    return Section("crashing", "4. Crashes in the middle of a call", [table], [NOTE])


NOTE = "A human is in the room all the time. The job is restarted by its supervisor; otherwise a new pod takes over."


def _one(here: Ground, name: str, crash: Crash) -> float:
    trial = here.trial
    session = trial.ready(name, "agent-66")
    visitor = trial.visit(name)
    old = trial.agent_sid(session)
    begin = time.monotonic()
    crash.how(trial.kube, session.pod, trial.namespace)
    until(lambda: trial.agent_sid(session) not in ("", old), f"a new agent for {name}", LONGEST, poll=0.02)
    took = time.monotonic() - begin
    here.say(f"{name}: {took:.2f} s")
    visitor.leave()
    trial.kube.delete("voicesession", name, trial.namespace)
    trial.gone()
    return took
