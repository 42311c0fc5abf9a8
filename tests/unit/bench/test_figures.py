"""Benchmark figures: missed targets are recorded and make the benchmark fail."""

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


def soak_misses(make: Callable[[int], Survey]) -> list[str]:
    return soak.misses([n * CYCLE_SECONDS for n in range(SOAK)], [make(n) for n in range(SOAK)])


def turn(latency: float = 0.6, words: str = "you said", expected: tuple[str, ...] = ("said",)) -> Answer:
    return Answer("Test one", expected, words, "Test one", latency, repeated=False)


def test_soak_without_growth_has_no_misses() -> None:
    assert soak_misses(survey) == []
    assert soak_misses(lambda n: survey(n, descriptors=25 + n % 2)) == [], "fluctuation is not growth"
    assert soak_misses(lambda n: survey(n, descriptors=25 if n > 30 else 10)) == [], "nor is a warm-up"


def test_memory_growth_below_a_mebibyte_is_measured() -> None:
    assert soak_misses(lambda n: survey(n, rss_per_cycle=8 * KIB)) == [], "133 MiB + 5.6 MiB in an hour"
    (missed,) = soak_misses(lambda n: survey(n, rss_per_cycle=12 * KIB))
    assert missed.startswith("supervisor: +6."), missed


def test_open_descriptors_and_zombies_are_misses() -> None:
    (supervisor, all_processes) = soak_misses(lambda n: survey(n, descriptors=25 + n // 50))
    assert "descriptors more" in supervisor
    assert all_processes.startswith("all processes")
    assert soak_misses(lambda n: survey(n, state="Z" if n == 7 else "S")) == ["zombies were seen in 1 cycles"]


def test_soak_table_shows_tenths_of_a_mebibyte() -> None:
    rows = soak.table("", [0.0, 1.0], [survey(0), survey(1, rss_per_cycle=300 * KIB)]).rows
    assert rows[0][:4] == ["supervisor, MiB", "133.0", "133.0", "133.3"]


@pytest.mark.parametrize(
    ("last", "missed"),
    [
        ((turn(), turn()), ""),
        ((turn(), turn(words="")), "1 turns were not answered"),
        ((turn(words="walrus", expected=("not", "know")), turn()), "1 cycles knew the word of the previous cycle"),
    ],
)
def test_missed_cycle_is_reported(last: tuple[Answer, Answer], missed: str) -> None:
    found = reconnect_cycles.misses([*[(turn(), turn())] * 9, last])
    assert [text[: len(missed)] for text in found] == ([missed] if missed else [])


@pytest.mark.parametrize(("latency", "misses"), [(0.65, 0), (0.55, 0), (0.67, 1), (0.53, 1)])
def test_slower_last_cycles_are_a_miss(latency: float, misses: int) -> None:
    slow = turn(latency)
    assert len(reconnect_cycles.misses([*[(turn(), turn())] * 5, *[(slow, slow)] * 5])) == misses


def test_reset_aims_are_met_or_missed() -> None:
    samples = {resets.WHOLE: [0.15] * 98 + [1.2] * 2, resets.MEMORY: [0.03] * 100}
    assert [row[-1] for row in resets.aims(samples).rows] == ["met", "missed", "met"]
    assert resets.aims({**samples, resets.MEMORY: []}).rows[2][-1] == "missed", "no samples"


def test_recovery_row_has_detection_and_recovery_times() -> None:
    measured = {"AgentStuck: detected as AgentStuck, s": 5.04, "AgentStuck: healed, s": 12.0}
    logged = {"agent job: detected by its pod (job_ended), s": 0.0}
    assert recovery.row("stopped", measured) == ["stopped", "AgentStuck", "5.0", "12.0"]
    assert recovery.row("killed", logged) == ["killed", "its pod (job_ended)", "0.0", "-"]
    assert recovery.row("nothing", {}) == ["nothing", "-", "-", "-"]


@pytest.mark.parametrize(("misses", "code"), [([], 0), (["it grows"], 1)])
def test_missed_target_is_stored_and_fails_benchmark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, misses: list[str], code: int
) -> None:
    stored: list[Section] = []
    monkeypatch.setattr(bench, "BENCHES", {"soak": (lambda _: Section("soak", "10. Soak", misses=misses), 1)})
    monkeypatch.setattr(bench, "Kube", object)
    monkeypatch.setattr(bench, "versions", lambda _: "v1")
    monkeypatch.setattr(figures, "keep", stored.append)
    monkeypatch.setattr(sys, "argv", ["bench"])

    assert bench.main() == code

    (section,) = stored
    page = figures.page_of([section])
    assert ("**Missed: it grows.**" in page) is bool(misses)
