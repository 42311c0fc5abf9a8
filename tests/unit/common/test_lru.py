"""The bounded dict: its capacity and its order."""

from voicesession_common.lru import LruDict


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
