"""One conversation of an hour: latency, memory, and a context that is longer than the model's."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.bench.soak import LONGEST, MEMORY, Measure
from tests.bench.trend import growth_per_hour
from tests.support.cluster import nodes
from tests.support.cluster.pod_processes import Survey, node_of, survey
from tests.support.participants.speaker import REPLY_SECONDS, Answer, Speaker
from tests.support.participants.typing_participant import TypingParticipant

MODEL = "scripted-8k"
"""The scripted model with a context of 8,000 tokens: it refuses a longer request, as hosted models do."""
FACT, QUESTION, WORD = "My favorite color is blue", "What is my favorite color", "blue"
MOST_REPEATS = 3
SENTENCE = "Test one"
TURN_SECONDS = 12.0
"""Pace of the turns, like that of a slow talk."""
TYPED_EVERY = 4
"""One turn of so many is a long typed text."""
FILLER = "The quick brown fox jumps over the lazy dog near the river bank today. "
TYPED_CHARACTERS = 2400
WARM_UP_PART = 5
MAX_GROWTH = 5.0
"""Allowed growth of the pod's memory in percent per hour, as in the soak."""


@dataclass
class Talk:
    """Measurements of the conversation."""

    answers: list[Answer]
    surveys: list[Survey]
    times: list[float]
    """Seconds of the surveys since the beginning."""
    typed: int = 0
    summaries: int = 0
    resets: int = 0
    replacements: int = 0
    last: str = ""
    """The agent's answer to the question about the fact of the beginning."""


def run(minutes: int) -> Section:
    """Talk for so many minutes."""
    with bench_environment("conversation") as env:
        llm = {"provider": "openai", "model": MODEL, "baseURL": env.example_agent()["spec"]["llm"]["baseURL"]}
        env.example_agent("greeting", llm=llm)
        env.kube.wait("voiceagent/agent-66", "condition=Ready", env.scenario.namespace, LONGEST)
        session = env.scenario.start_session("call", "agent-66", grace=60, reconnect_grace=300, max_duration=86400)
        pod = nodes.agent_pod(env.kube, session.pod, env.scenario.namespace)
        bob = TypingParticipant(env.scenario.livekit, session, "bob")
        with Speaker(env.scenario.livekit, session) as alice:
            talk = _talk(env, alice, bob, minutes * 60.0, node_of(pod), nodes.supervisor(pod))
            talk.last = alice.say(QUESTION, WORD).transcript
        bob.leave()
        after = env.scenario.session("call")
        log = env.kube.run("logs", session.pod, "-n", env.scenario.namespace, "--tail=-1")
    talk.summaries = log.count('"event": "summarized"')
    talk.resets, talk.replacements = after.status["resets"], after.status["replacements"]
    latencies = [answer.latency for answer in talk.answers if answer.latency]
    part = max(1, len(latencies) // 10)
    parts = {"every turn": latencies, "the first tenth": latencies[:part], "the last tenth": latencies[-part:]}
    latency = distribution("End of speech -> first audio, in s", parts)
    return Section("conversation", "15. One long conversation", [_table(talk), latency], [NOTE], _misses(talk))


NOTE = (
    f"A human says a sentence about every {TURN_SECONDS:g} s, and each {TYPED_EVERY}th turn is a typed text of "
    f"{TYPED_CHARACTERS} characters, so that the conversation has many times the context of the model. The model "
    "refuses a request above 8,000 tokens (4 bytes each). The question at the end asks for a fact of the first turn, "
    "which only the summaries still have."
)


def _talk(
    env: BenchEnvironment, alice: Speaker, bob: TypingParticipant, seconds: float, node: str, supervisor: int
) -> Talk:
    talk, begin = Talk([], [], []), time.time()
    alice.join()
    alice.wait_for_agent()
    _state_fact(alice)
    for number in range(1, int(seconds / TURN_SECONDS) + 1):
        if number % TYPED_EVERY == 0:
            _type(bob, number)
            talk.typed += 1
        else:
            talk.answers.append(alice.say_once(SENTENCE, REPLY_SECONDS))
        talk.surveys.append(survey(node, supervisor))
        talk.times.append(time.time() - begin)
        _print(env, talk, number)
        alice.wait(max(begin + number * TURN_SECONDS - time.time(), 0.0))
    return talk


def _state_fact(alice: Speaker) -> None:
    """Say the fact until the agent knows it: the recognizer may mishear it."""
    for _ in range(MOST_REPEATS):
        alice.say(FACT, WORD)
        if alice.say(QUESTION, WORD).is_expected:
            return
    raise AssertionError(f"the agent heard {FACT!r} {MOST_REPEATS} times and does not know it")


def _type(bob: TypingParticipant, number: int) -> None:
    """Type a long text that gets a short answer."""
    text = (FILLER * TYPED_CHARACTERS)[:TYPED_CHARACTERS]
    bob.type(f"Note {number}. {text}. Please pause for 0 seconds.")
    bob.wait_for_text("After the pause.", LONGEST)


def _print(env: BenchEnvironment, talk: Talk, number: int) -> None:
    if number % 10 == 0:
        memory = MEMORY["all processes (anonymous)"](talk.surveys[-1])
        env.print_progress(
            f"{talk.times[-1] / 60:.1f} min, turn {number}: {memory:.0f} MiB, {talk.answers[-1].latency:.2f} s"
        )


def _table(talk: Talk) -> Table:
    table = Table(f"One conversation of {talk.times[-1] / 60:.0f} min in one pod", ["what", "figure"])
    table.rows = [
        ["spoken turns, typed turns", f"{len(talk.answers)}, {talk.typed}"],
        ["spoken turns without an answer", str(sum(not answer.transcript for answer in talk.answers))],
        ["characters of the typed texts", str(talk.typed * TYPED_CHARACTERS)],
        ["summaries", str(talk.summaries)],
        ["answer to the question about the first turn", talk.last],
        ["resets, replacements", f"{talk.resets}, {talk.replacements}"],
        *(
            [f"{name}, MiB: first, last, growth per hour", _growth_text(talk, measure)]
            for name, measure in MEMORY.items()
        ),
    ]
    return table


def _growth_text(talk: Talk, measure: Measure) -> str:
    values = [measure(found) for found in talk.surveys]
    return f"{values[0]:.1f}, {values[-1]:.1f}, {_growth(talk.times, values):+.1f} %"


def _growth(times: Sequence[float], values: Sequence[float]) -> float:
    warm = len(values) // WARM_UP_PART
    return growth_per_hour(times[warm:], values[warm:])


def _misses(talk: Talk) -> list[str]:
    growth = _growth(talk.times, [MEMORY["all processes (anonymous)"](found) for found in talk.surveys])
    aims = {
        "the fact of the first turn is forgotten": WORD not in talk.last.lower(),
        "no summary was written": talk.summaries == 0,
        "the agent started again": bool(talk.resets or talk.replacements),
        "a turn has no answer": not all(answer.transcript for answer in talk.answers),
        f"memory grows by {growth:.1f} % per hour, allowed {MAX_GROWTH:g}": growth > MAX_GROWTH,
    }
    return [text for text, is_missed in aims.items() if is_missed]
