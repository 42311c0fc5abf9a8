"""Conditions as values."""

from voicesession_common.api.conditions import Condition, find_condition, is_condition_true, set_condition


def test_set_condition_changes_time_only_with_status() -> None:
    first = set_condition((), Condition("Ready", "False", "A"), 1.0)
    same = set_condition(first, Condition("Ready", "False", "B", "why"), 2.0)
    other = set_condition(same, Condition("Ready", "True", "C"), 3.0)
    assert [find_condition(c, "Ready").since for c in (first, same, other)] == [1.0, 1.0, 3.0]  # type: ignore[union-attr]
    assert is_condition_true(other, "Ready")
    assert not is_condition_true(other, "Finished")


def test_set_condition_cuts_long_texts() -> None:
    long = Condition("AgentJoined", "False", "R" * 1025, "x" * 40_000)
    (stored,) = conditions = set_condition((), long, 1.0)
    assert (len(stored.reason), len(stored.message), stored.message[-1]) == (128, 1024, "…")
    assert set_condition(conditions, long, 2.0) == conditions, "the cut condition is the same again"
    short = Condition("AgentJoined", "False", "R" * 128, "x" * 1024, 1.0)
    assert set_condition((), short, 1.0) == (short,)
