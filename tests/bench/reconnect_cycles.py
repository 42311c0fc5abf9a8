"""One person who speaks, leaves and returns many times: is the last conversation as quick, and as new, as the first?"""

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, Table, distribution, percentile
from tests.support.cluster.manifests import RESET
from tests.support.participants.code_words import UNKNOWN, WHICH, telling
from tests.support.participants.speaker import Answer, Guest

EDGE = 5
"""How many cycles of the beginning are compared with as many of the end."""
MAX_CHANGE = 0.10
"""Of the response time, either way, from the first cycles to the last."""
LONGEST = 60


def run(rounds: int) -> Section:
    with ground("cycles") as here:
        here.example_agent("greeting", "memory", onLastHumanLeft=RESET)
        session = here.trial.ready("call", "agent-66", grace=0, reconnect_grace=0)
        with Guest(here.trial.livekit, session) as alice:
            cycles = [_one(here, alice, number) for number in range(rounds)]
            heard = alice.listen()
    samples = {
        "every turn": [answer.latency for cycle in cycles for answer in cycle],
        f"the first {EDGE} cycles": _latencies(cycles[:EDGE]),
        f"the last {EDGE} cycles": _latencies(cycles[-EDGE:]),
    }
    latency = distribution("End of speech -> first audio, in s", samples)
    tables = [latency, _verdicts(cycles, heard)]
    return Section("cycles", "9. Speak, leave, return", tables, [NOTE], misses(cycles))


NOTE = (
    "Each cycle asks for the word of the cycle before, which must not be known, then tells another one, then leaves; "
    "the session resets at once, in the same pod."
)


def misses(cycles: list[tuple[Answer, Answer]]) -> list[str]:
    """What is not as it must be: every turn answered, no word known from the cycle before, as quick as at first."""
    unanswered = sum(not answer.words for cycle in cycles for answer in cycle)
    known = sum(not asked.told for asked, _ in cycles)
    change = _change(cycles)
    found = {
        f"{unanswered} turns were not answered": unanswered > 0,
        f"{known} cycles did not answer that they do not know the word of the one before": known > 0,
        f"p50 of the last {EDGE} cycles is {change:+.1%} of the first {EDGE}, not within {MAX_CHANGE:.0%}": (
            abs(change) > MAX_CHANGE
        ),
    }
    return [text for text, missed in found.items() if missed]


def _one(here: Ground, alice: Guest, number: int) -> tuple[Answer, Answer]:
    alice.come()
    alice.meet()
    asked, told = alice.say(WHICH, *UNKNOWN), alice.say(telling(number))
    alice.leave()
    here.trial.reset_complete("call", number + 1, LONGEST)
    here.say(f"{number + 1}: {asked.latency:.3f} s, {told.latency:.3f} s; {asked.words}")
    return asked, told


def _latencies(cycles: list[tuple[Answer, Answer]]) -> list[float]:
    return [answer.latency for cycle in cycles for answer in cycle]


def _change(cycles: list[tuple[Answer, Answer]]) -> float:
    """Of the p50, as a part of what it was at first."""
    first, last = (percentile(_latencies(part), 50) for part in (cycles[:EDGE], cycles[-EDGE:]))
    return last / first - 1


def _verdicts(cycles: list[tuple[Answer, Answer]], heard: list[Answer]) -> Table:
    turns = [answer for cycle in cycles for answer in cycle]
    table = Table(f"{len(cycles)} cycles", ["what", "figure"])
    table.rows = [
        ["turns that were answered", f"{sum(bool(a.words) for a in turns)} of {len(turns)}"],
        ["turns that had to be said twice", f"{sum(a.repeated for a in turns)}"],
        ["word of the cycle before unknown", f"{sum(asked.told for asked, _ in cycles)} of {len(cycles)}"],
        ["answers that the independent ear understood", f"{sum(a.right for a in heard)} of {len(heard)}"],
        [f"p50 of the last {EDGE} cycles against the first {EDGE}", f"{100 * _change(cycles):+.1f} %"],
    ]
    return table
