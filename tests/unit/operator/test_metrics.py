"""Definitions of the metrics: help texts, series that exist before the first event, no creation times."""

import pytest
from voicesession_operator.metrics import REGISTRY

from tests.support.metric_changes import value

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
