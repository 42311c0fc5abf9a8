"""The number of warm pods: the formula, its stabilization, and simulations of it."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voicesession_operator.domain.pool_size import (
    CONFIDENCE,
    FIRST_REFILL_SECONDS,
    HOLD_SECONDS,
    arrival_rate,
    held_pods,
    hold,
    needed_pods,
    required_warm,
)

from hack.cluster.constants import ROOT
from tests.support.builders import T0
from tests.support.pool_simulation import Autoscaler, day, simulate, steady

ROW = re.compile(r"^\| (\d+) \|(( \d+ \|)+)$", re.MULTILINE)
REFILLS = (5, 10, 30, 60)


def poisson(mean: float, most: int) -> float:
    return sum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(most + 1))


@pytest.mark.parametrize(("per_second", "refill", "pods"), [(0.0, 10, 0), (0.1, 10, 6), (1.0, 10, 22), (1 / 60, 6, 3)])
def test_required_pods_of_known_means(per_second: float, refill: float, pods: int) -> None:
    assert required_warm(per_second, refill) == pods


@given(st.floats(0.001, 60))
def test_required_pods_are_the_fewest_with_the_probability(mean: float) -> None:
    pods = required_warm(mean, 1.0)
    assert poisson(mean, pods - 1) >= CONFIDENCE - 1e-9
    assert pods == 1 or poisson(mean, pods - 2) < CONFIDENCE + 1e-9


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 600))
def test_more_arrivals_or_slower_refills_need_no_fewer_pods(rate: float, more: float, refill: float) -> None:
    assert required_warm(rate, refill) <= required_warm(rate + more, refill)
    assert required_warm(rate, refill) <= required_warm(rate, refill + more)


def test_burst_counts_by_the_short_window_and_talk_by_the_long_window() -> None:
    assert arrival_rate([T0] * 30, T0 + 5) == 0.5
    assert arrival_rate([T0 + 10 * n for n in range(60)], T0 + 600) == pytest.approx(0.1, rel=0.02)
    assert arrival_rate([T0] * 30, T0 + 61) == pytest.approx(0.05)
    assert arrival_rate([T0] * 30, T0 + 601) == 0


def test_arrivals_of_a_late_clock_are_ignored() -> None:
    assert arrival_rate([T0 + 100], T0) == 0


def test_unknown_refill_time_has_a_default() -> None:
    assert needed_pods([T0] * 6, 0, T0) == needed_pods([T0] * 6, FIRST_REFILL_SECONDS, T0) > 0


def test_size_rises_at_once_and_falls_after_the_hold() -> None:
    recommendations = hold((), 2, T0)
    recommendations = hold(recommendations, 9, T0 + 1)
    assert held_pods(recommendations) == 9
    recommendations = hold(recommendations, 3, T0 + HOLD_SECONDS)
    assert held_pods(recommendations) == 9
    assert held_pods(hold(recommendations, 3, T0 + 1 + HOLD_SECONDS)) == 3


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), min_size=1, max_size=60))
def test_held_size_is_the_highest_of_the_last_five_minutes(steps: list[tuple[float, int]]) -> None:
    now, seen, recommendations = T0, list[tuple[float, int]](), hold((), 0, T0)
    for seconds, needed in steps:
        now += seconds
        seen.append((now, needed))
        recommendations = hold(recommendations, needed, now)
        assert held_pods(recommendations) == max(pods for at, pods in seen if at > now - HOLD_SECONDS)


def test_autoscaler_beats_a_fixed_size_with_as_many_pods() -> None:
    arrivals = day(66)
    scaled = simulate(arrivals, Autoscaler(1, 50))
    fixed = simulate(arrivals, lambda *_: math.ceil(scaled.mean))
    assert scaled.hit_rate > fixed.hit_rate
    assert scaled.hit_rate > 0.9


def test_table_of_sizes_follows_the_formula() -> None:
    text = (ROOT / "docs" / "operations" / "warm-pools.md").read_text()
    rows = {int(rate): tuple(map(int, cells.replace("|", " ").split())) for rate, cells, _ in ROW.findall(text)}
    assert rows == {rate: tuple(required_warm(rate / 60, refill) for refill in REFILLS) for rate in (1, 5, 20, 60, 300)}


@pytest.mark.parametrize(("per_minute", "refill"), [(20, 10), (60, 30)])
def test_size_of_the_table_serves_nearly_all_arrivals(per_minute: int, refill: int) -> None:
    pods = required_warm(per_minute / 60, refill)
    result = simulate(steady(per_minute, 36_000, 5), lambda *_: pods, 36_000, refill - 1.0)
    assert result.hit_rate > 0.99
