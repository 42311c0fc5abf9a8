"""The metrics themselves: documented, bounded, and there before the first event."""

import pytest
from voicesession_operator.metrics import REGISTRY

from tests.support.metric_changes import value

SENTENCE_END = "."


def test_every_metric_of_ours_says_in_a_sentence_what_it_is() -> None:
    ours = [family for family in REGISTRY.collect() if family.name.startswith("voicesession_")]
    assert len(ours) > 30
    for family in ours:
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
def test_what_alerts_count_is_there_before_it_happens(sample: str, labels: dict[str, str]) -> None:
    assert value(sample, **labels) >= 0


def test_nothing_is_said_of_when_a_series_began() -> None:
    assert not [
        sample for family in REGISTRY.collect() for sample in family.samples if sample.name.endswith("_created")
    ]
