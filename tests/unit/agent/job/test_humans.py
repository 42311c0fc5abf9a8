"""Who is a human, seen from inside the room."""

from dataclasses import dataclass, field

import pytest
from livekit import rtc
from voicesession_agent.job.humans import is_human

KIND = rtc.ParticipantKind


@dataclass
class Somebody:
    kind: "rtc.ParticipantKind.ValueType"
    attributes: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("somebody", "human"),
    [
        (Somebody(KIND.PARTICIPANT_KIND_STANDARD), True),
        (Somebody(KIND.PARTICIPANT_KIND_SIP), True),
        (Somebody(KIND.PARTICIPANT_KIND_CONNECTOR), True),
        (Somebody(KIND.PARTICIPANT_KIND_AGENT), False),
        (Somebody(KIND.PARTICIPANT_KIND_EGRESS), False),
        (Somebody(KIND.PARTICIPANT_KIND_STANDARD, {"lk.publish_on_behalf": "agent"}), False),
        (Somebody(KIND.PARTICIPANT_KIND_STANDARD, {"voicesession.role": "observer"}), False),
        (Somebody(KIND.PARTICIPANT_KIND_AGENT, {"voicesession.role": "human"}), True),
    ],
)
def test_is_human(somebody: Somebody, human: bool) -> None:
    assert is_human(somebody) is human
