"""The time for which an operator has watched a session."""

import pytest
from voicesession_operator.domain.observed import Watch


@pytest.mark.parametrize(
    ("looks", "watched"),
    [
        ((), 0),
        ((10, 20, 30), 30),
        ((10, 500), 10 + 30),
        ((10, 500, 510), 10 + 30 + 10),
        ((40, 80, 120), 90),
        ((10, 5, 15), 10 + 0 + 10),
    ],
)
def test_watch_counts_time_between_looks_but_no_longer_gap(looks: tuple[float, ...], watched: float) -> None:
    watch = Watch(0, 0)
    for now in looks:
        watch = watch.look(now, longest_gap=30)
    assert watch.last - watch.since == watched
