"""A human who speaks, leaves and returns many times: latency and memory of the last conversations and the first."""

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution, percentile
from tests.support.cluster.manifests import RESET
from tests.support.participants.code_words import ASK_CODE_WORD, UNKNOWN_KEYWORDS, code_word_sentence
from tests.support.participants.speaker import Answer, Speaker

EDGE = 5
"""Number of cycles at the start that are compared with as many at the end."""
MAX_CHANGE = 0.10
"""Allowed relative change of the latency between the first and the last cycles."""
LONGEST = 60


def run(rounds: int) -> Section:
    """Measure `rounds` conversations."""
    with bench_environment("cycles") as env:
        env.example_agent("greeting", "memory", onLastHumanLeft=RESET)
        session = env.scenario.start_session("call", "agent-66", grace=0, reconnect_grace=0)
        with Speaker(env.scenario.livekit, session) as alice:
            cycles = [_measure_one(env, alice, number) for number in range(rounds)]
            transcribed = alice.transcribe()
    samples = {
        "every turn": [answer.latency for cycle in cycles for answer in cycle],
        f"the first {EDGE} cycles": _latencies(cycles[:EDGE]),
        f"the last {EDGE} cycles": _latencies(cycles[-EDGE:]),
    }
    latency = distribution("End of speech -> first audio, in s", samples)
    tables = [latency, _results(cycles, transcribed)]
    return Section("cycles", "9. Speak, leave, return", tables, [NOTE], misses(cycles))


NOTE = (
    "Each cycle asks for the word of the previous cycle, which must be unknown, says another word, and leaves; "
    "the session resets at once, in the same pod."
)


def misses(cycles: list[tuple[Answer, Answer]]) -> list[str]:
    """Return the missed aims: every turn answered, no word of the previous cycle known, no change of latency."""
    unanswered = sum(not answer.transcript for cycle in cycles for answer in cycle)
    known = sum(not asked.is_expected for asked, _ in cycles)
    change = _change(cycles)
    found = {
        f"{unanswered} turns were not answered": unanswered > 0,
        f"{known} cycles knew the word of the previous cycle, or did not deny it": known > 0,
        f"p50 of the last {EDGE} cycles is {change:+.1%} of the first {EDGE}, not within {MAX_CHANGE:.0%}": (
            abs(change) > MAX_CHANGE
        ),
    }
    return [text for text, missed in found.items() if missed]


def _measure_one(env: BenchEnvironment, alice: Speaker, number: int) -> tuple[Answer, Answer]:
    alice.join()
    alice.wait_for_agent()
    asked, stated = alice.say(ASK_CODE_WORD, *UNKNOWN_KEYWORDS), alice.say(code_word_sentence(number))
    alice.leave()
    env.scenario.wait_for_reset("call", number + 1, LONGEST)
    env.print_progress(f"{number + 1}: {asked.latency:.3f} s, {stated.latency:.3f} s; {asked.transcript}")
    return asked, stated


def _latencies(cycles: list[tuple[Answer, Answer]]) -> list[float]:
    return [answer.latency for cycle in cycles for answer in cycle]


def _change(cycles: list[tuple[Answer, Answer]]) -> float:
    """Return the relative change of the p50."""
    first, last = (percentile(_latencies(part), 50) for part in (cycles[:EDGE], cycles[-EDGE:]))
    return last / first - 1


def _results(cycles: list[tuple[Answer, Answer]], transcribed: list[Answer]) -> Table:
    turns = [answer for cycle in cycles for answer in cycle]
    table = Table(f"{len(cycles)} cycles", ["what", "figure"])
    table.rows = [
        ["turns that were answered", f"{sum(bool(a.transcript) for a in turns)} of {len(turns)}"],
        ["turns that had to be said twice", f"{sum(a.repeated for a in turns)}"],
        ["word of the previous cycle unknown", f"{sum(asked.is_expected for asked, _ in cycles)} of {len(cycles)}"],
        [
            "answers that the independent ear understood",
            f"{sum(a.is_recognized for a in transcribed)} of {len(transcribed)}",
        ],
        [f"p50 of the last {EDGE} cycles against the first {EDGE}", f"{100 * _change(cycles):+.1f} %"],
    ]
    return table
