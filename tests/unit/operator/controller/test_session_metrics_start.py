"""The time to Ready, split: the stages are those of the moments that were told, and never negative."""

from dataclasses import replace

from voicesession_operator.controller.session_metrics import start_stages
from voicesession_operator.domain.observed import Timings
from voicesession_operator.metric_labels import StartStage

CREATED = 1000.0
TIMINGS = Timings(process_started=1002.5, prepared=1004.5, bound=1003.0, joined=1005.0)


def stages(timings: Timings = TIMINGS, started: float = 1000.25, made: float | None = 1000.5) -> dict[str, float]:
    found = start_stages(CREATED, started, made, timings, ready_at=1005.125)
    return {stage.value: seconds for stage, seconds in found.items()}


def test_every_stage_counts_from_the_one_before() -> None:
    assert stages() == {
        "found": 0.0,
        "pod_created": 0.25,
        "process_started": 2.0,
        "models_loaded": 2.0,
        "bound": 0.0,
        "joined": 0.5,
        "seen": 0.125,
    }
    assert list(stages()) == [stage.value for stage in StartStage]


def test_all_but_the_first_add_up_to_the_time_since_the_first_look() -> None:
    late = stages(started=1001.5, made=1001.75)
    assert late["found"] == 0.5
    assert sum(late.values()) - late["found"] == 1005.125 - 1001.5


def test_a_pod_that_was_told_after_it_had_loaded_has_waited() -> None:
    assert stages(replace(TIMINGS, bound=1004.75))["bound"] == 0.25


def test_a_clock_that_is_behind_makes_no_negative_time() -> None:
    behind = stages(replace(TIMINGS, process_started=999.0))
    assert behind["process_started"] == 0.0
    assert behind["models_loaded"] == 4.0


def test_what_nobody_told_is_left_out_and_so_is_what_counts_from_it() -> None:
    assert list(stages(Timings())) == ["found", "pod_created"]
    assert list(stages(made=None)) == ["found"]
