"""What a bench makes of its figures: marks that were missed are written down, and end it badly."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import bench, figures, reconnect_cycles, recovery, resets, soak
from tests.bench.figures import Section
from tests.support.cluster.pod_processes import Process, Survey
from tests.support.participants.speaker import Answer

MIB = 2**20
KIB = 2**10
SOAK = 200
CYCLE_SECONDS = 5.0


def survey(number: int, rss_per_cycle: int = 0, descriptors: int = 25, state: str = "S") -> Survey:
    supervisor = Process(1, 0, "S", 133 * MIB + number * rss_per_cycle, descriptors)
    return Survey(supervisor, (Process(2, 1, state, 300 * MIB, 60),))


def of_soak(make: Callable[[int], Survey]) -> list[str]:
    return soak.misses([n * CYCLE_SECONDS for n in range(SOAK)], [make(n) for n in range(SOAK)])


def turn(latency: float = 0.6, words: str = "you said", wanted: tuple[str, ...] = ("said",)) -> Answer:
    return Answer("Test one", wanted, words, "Test one", latency, repeated=False)


def test_a_soak_in_which_nothing_grows_misses_nothing() -> None:
    assert of_soak(survey) == []
    assert of_soak(lambda n: survey(n, descriptors=25 + n % 2)) == [], "up and down is no growth"
    assert of_soak(lambda n: survey(n, descriptors=25 if n > 30 else 10)) == [], "a warm-up is none either"


def test_growth_of_memory_is_measured_in_less_than_a_mebibyte() -> None:
    assert of_soak(lambda n: survey(n, rss_per_cycle=8 * KIB)) == [], "133 MiB + 5.6 MiB in an hour"
    (missed,) = of_soak(lambda n: survey(n, rss_per_cycle=12 * KIB))
    assert missed.startswith("supervisor: +6."), missed


def test_descriptors_that_stay_open_and_zombies_are_missed_marks() -> None:
    (own, of_all) = of_soak(lambda n: survey(n, descriptors=25 + n // 50))
    assert "descriptors more" in own
    assert of_all.startswith("all processes")
    assert of_soak(lambda n: survey(n, state="Z" if n == 7 else "S")) == ["zombies were seen in 1 cycles"]


def test_the_table_of_a_soak_shows_tenths_of_a_mebibyte() -> None:
    rows = soak.table("", [0.0, 1.0], [survey(0), survey(1, rss_per_cycle=300 * KIB)]).rows
    assert rows[0][:4] == ["supervisor, MiB", "133.0", "133.0", "133.3"]


@pytest.mark.parametrize(
    ("last", "missed"),
    [
        ((turn(), turn()), ""),
        ((turn(), turn(words="")), "1 turns were not answered"),
        ((turn(words="walrus", wanted=("not", "know")), turn()), "1 cycles did not answer that they do not know"),
    ],
)
def test_every_cycle_counts(last: tuple[Answer, Answer], missed: str) -> None:
    found = reconnect_cycles.misses([*[(turn(), turn())] * 9, last])
    assert [text[: len(missed)] for text in found] == ([missed] if missed else [])


@pytest.mark.parametrize(("latency", "misses"), [(0.65, 0), (0.55, 0), (0.67, 1), (0.53, 1)])
def test_the_last_cycles_are_as_quick_as_the_first(latency: float, misses: int) -> None:
    slow = turn(latency)
    assert len(reconnect_cycles.misses([*[(turn(), turn())] * 5, *[(slow, slow)] * 5])) == misses


def test_each_aim_of_a_reset_is_said_to_be_met_or_missed() -> None:
    samples = {resets.WHOLE: [0.15] * 98 + [1.2] * 2, resets.MEMORY: [0.03] * 100}
    assert [row[-1] for row in resets.aims(samples).rows] == ["met", "missed", "met"]
    assert resets.aims({**samples, resets.MEMORY: []}).rows[2][-1] == "missed", "nothing was measured"


def test_how_a_stuck_state_was_found_and_healed_is_one_row() -> None:
    told = {"AgentStuck: detected as AgentStuck, s": 5.04, "AgentStuck: healed, s": 12.0}
    logged = {"agent job: detected by its pod (job_ended), s": 0.0}
    assert recovery.row("stopped", told) == ["stopped", "AgentStuck", "5.0", "12.0"]
    assert recovery.row("killed", logged) == ["killed", "its pod (job_ended)", "0.0", "-"]
    assert recovery.row("nothing", {}) == ["nothing", "-", "-", "-"]


@pytest.mark.parametrize(("misses", "code"), [([], 0), (["it grows"], 1)])
def test_what_was_missed_is_kept_and_ends_the_bench_badly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, misses: list[str], code: int
) -> None:
    kept: list[Section] = []
    monkeypatch.setattr(bench, "BENCHES", {"soak": (lambda _: Section("soak", "10. Soak", misses=misses), 1)})
    monkeypatch.setattr(bench, "Kube", object)
    monkeypatch.setattr(bench, "versions", lambda _: "v1")
    monkeypatch.setattr(figures, "keep", kept.append)
    monkeypatch.setattr(sys, "argv", ["bench"])

    assert bench.main() == code

    (section,) = kept
    page = figures.page_of([section])
    assert ("**Missed: it grows.**" in page) is bool(misses)
