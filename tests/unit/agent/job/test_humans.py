"""Kinds and attributes of participants that count as humans inside the room."""

from dataclasses import dataclass, field

import pytest
from livekit import rtc
from voicesession_agent.job.humans import is_human

KIND = rtc.ParticipantKind


@dataclass
class FakeParticipant:
    kind: "rtc.ParticipantKind.ValueType"
    attributes: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("participant", "human"),
    [
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_SIP), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_CONNECTOR), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_AGENT), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_EGRESS), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, {"lk.publish_on_behalf": "agent"}), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, {"voicesession.role": "observer"}), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_AGENT, {"voicesession.role": "human"}), True),
    ],
)
def test_is_human(participant: FakeParticipant, human: bool) -> None:
    assert is_human(participant) is human
