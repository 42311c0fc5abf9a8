"""Definitions of the metrics: help texts, series that exist before the first event, no creation times."""

import asyncio

import pytest
from voicesession_common.errors import ConflictError
from voicesession_operator.metrics import REGISTRY, observe_kubernetes_request

from tests.support.metric_changes import counted, value

SENTENCE_END = "."


def test_every_metric_has_a_sentence_as_help_text() -> None:
    families = [family for family in REGISTRY.collect() if family.name.startswith("voicesession_")]
    assert len(families) > 30
    for family in families:
        assert family.documentation[0].isupper() or family.documentation[0].isdigit(), family.name
        assert family.documentation.endswith(SENTENCE_END), family.name


@pytest.mark.parametrize(
    ("sample", "labels"),
    [
        ("voicesession_sessions_finished_total", {"reason": "AgentLost"}),
        ("voicesession_agent_replacements_total", {"reason": "PodLost"}),
        ("voicesession_resets_total", {"cause": "LastHumanLeft", "outcome": "Escalated"}),
        ("voicesession_webhooks_lost_total", {"event": "participant_left"}),
    ],
)
def test_series_of_alerts_exist_before_the_first_event(sample: str, labels: dict[str, str]) -> None:
    assert value(sample, **labels) >= 0


def test_series_have_no_creation_time() -> None:
    assert not [
        sample for family in REGISTRY.collect() for sample in family.samples if sample.name.endswith("_created")
    ]


@pytest.mark.parametrize(
    ("verb", "error", "writes", "errors"),
    [
        ("patch", None, 1, 0),
        ("get", None, 0, 0),
        ("patch", ConflictError("Conflict", "changed"), 0, 1),
        ("patch", asyncio.CancelledError(), 0, 0),
    ],
)
def test_kubernetes_request_counts_as_write_or_error(
    verb: str, error: BaseException | None, writes: int, errors: int
) -> None:
    with counted() as change:
        observe_kubernetes_request(verb, "pods", 0.1, error)
    assert change.of("voicesession_kubernetes_writes_total", verb=verb, resource="pods") == writes
    assert change.of("voicesession_kubernetes_errors_total", verb=verb, kind="ConflictError") == errors
    assert change.of("voicesession_kubernetes_request_seconds_count", verb=verb) == 1
