"""Spoken turns: the time from the end of a human's speech to the first audible audio of the answer."""

from tests.bench.environment import bench_environment
from tests.bench.figures import Section, distribution
from tests.support.participants.spoken_turns import TURNS, converse


def run(rounds: int) -> Section:
    """Measure `rounds` turns."""
    with bench_environment("talking") as env:
        env.example_agent()
        env.kube.wait("voiceagent/agent-66", "condition=Ready", env.scenario.namespace, 120)
        session = env.scenario.start_session("call", "agent-66")
        answers = converse(env.scenario.livekit, session, [TURNS[number % len(TURNS)] for number in range(rounds)])
    for answer in answers:
        env.print_progress(f"{answer.latency:.3f} s: {answer.sentence} -> {answer.recognized}")
    latencies = {"end of speech -> first audio": [answer.latency for answer in answers]}
    right, repeated = sum(a.is_recognized for a in answers), sum(a.repeated for a in answers)
    note = f"The independent recognizer found the words of {right} of {len(answers)} answers; {repeated} were repeated."
    return Section("talking", "2. Spoken turns", [distribution("Latency of a spoken turn, in s", latencies)], [note])
