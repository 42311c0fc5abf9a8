"""Token buckets: the burst, the average rate, and the bound on the number of buckets."""

import pytest
from voicesession_common.rate_limit import Rate, TokenBuckets


def test_take_after_burst_returns_seconds_until_next_token() -> None:
    buckets = TokenBuckets(Rate(2.0, 3))
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 10.0) == 0
    assert buckets.take("a", 10.25) == pytest.approx(0.25)
    assert buckets.take("a", 10.5) == 0


def test_take_after_long_pause_allows_no_more_than_burst() -> None:
    buckets = TokenBuckets(Rate(2.0, 3))
    assert [buckets.take("a", 99.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert [buckets.take("a", 999.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_take_with_clock_set_back_adds_no_token() -> None:
    buckets = TokenBuckets(Rate(2.0, 1))
    assert buckets.take("a", 10.0) == 0
    assert buckets.take("a", 5.0) == 0.5


def test_buckets_over_capacity_drop_least_recently_used_key() -> None:
    buckets = TokenBuckets(Rate(0.001, 1), capacity=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 0.0)
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0
