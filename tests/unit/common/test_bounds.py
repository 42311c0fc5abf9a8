"""The bounded dict, and token buckets: the burst, the average rate, and the bound on the number of buckets."""

import pytest
from voicesession_common.bounds import LruDict, Rate, TokenBuckets


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


def test_lru_dict_over_capacity_drops_least_recently_written() -> None:
    entries: LruDict[str, int] = LruDict(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        entries[key] = value
    assert dict(entries) == {"a": 3, "c": 4}


def test_lru_dict_read_keeps_order() -> None:
    entries: LruDict[str, int] = LruDict(2)
    entries["a"], entries["b"] = 1, 2
    assert entries["a"] == 1
    entries["c"] = 3
    assert dict(entries) == {"b": 2, "c": 3}


def test_lru_dict_setdefault_respects_capacity() -> None:
    entries: LruDict[str, list[int]] = LruDict(1)
    entries.setdefault("a", []).append(1)
    entries.setdefault("b", []).append(2)
    assert dict(entries) == {"b": [2]}
