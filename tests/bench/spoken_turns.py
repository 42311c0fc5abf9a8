"""Spoken turns: from the end of a person's speech to the first audible sound of the answer."""

from tests.bench.environment import ground
from tests.bench.figures import Section, distribution
from tests.support.participants.spoken_turns import TURNS, converse


def run(rounds: int) -> Section:
    with ground("talking") as here:
        here.example_agent()
        here.kube.wait("voiceagent/agent-66", "condition=Ready", here.trial.namespace, 120)
        session = here.trial.ready("call", "agent-66")
        answers = converse(here.trial.livekit, session, [TURNS[number % len(TURNS)] for number in range(rounds)])
    for answer in answers:
        here.say(f"{answer.latency:.3f} s: {answer.said} -> {answer.heard}")
    latencies = {"end of speech -> first audio": [answer.latency for answer in answers]}
    right, repeated = sum(a.right for a in answers), sum(a.repeated for a in answers)
    note = f"The independent ear understood {right} of {len(answers)} answers as right; {repeated} were asked twice."
    return Section("talking", "2. Spoken turns", [distribution("Latency of a spoken turn, in s", latencies)], [note])
