"""Kinds and attributes of participants that count as humans inside the room."""

from dataclasses import dataclass, field

import pytest
from livekit import rtc
from voicesession_agent.job.humans import is_call_ended, is_call_unanswered, is_human, is_reachable

KIND = rtc.ParticipantKind
OBSERVER, HUMAN = {"voicesession.role": "observer"}, {"voicesession.role": "human"}
AVATAR = {"lk.publish_on_behalf": "agent"}


@dataclass
class FakeParticipant:
    kind: "rtc.ParticipantKind.ValueType"
    attributes: dict[str, str] = field(default_factory=dict)
    can_update_metadata: bool = False

    @property
    def permissions(self) -> "FakeParticipant":
        return self


@pytest.mark.parametrize(
    ("participant", "human"),
    [
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_SIP), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_CONNECTOR), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_AGENT), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_EGRESS), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, AVATAR), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, {"lk.publish_on_behalf": ""}), True),
        (FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, OBSERVER), False),
        (FakeParticipant(KIND.PARTICIPANT_KIND_AGENT, HUMAN), True),
    ],
)
def test_is_human(participant: FakeParticipant, human: bool) -> None:
    assert is_human(participant) is human


@pytest.mark.parametrize(
    ("kind", "attributes", "human"),
    [
        (KIND.PARTICIPANT_KIND_STANDARD, OBSERVER, True),
        (KIND.PARTICIPANT_KIND_STANDARD, AVATAR, True),
        (KIND.PARTICIPANT_KIND_EGRESS, HUMAN, False),
        (KIND.PARTICIPANT_KIND_SIP, OBSERVER, False),
        (KIND.PARTICIPANT_KIND_CONNECTOR, OBSERVER, False),
        (KIND.PARTICIPANT_KIND_INGRESS, HUMAN, True),
        (KIND.PARTICIPANT_KIND_AGENT, HUMAN, True),
    ],
)
def test_writable_attributes_count_for_services_only(
    kind: "rtc.ParticipantKind.ValueType", attributes: dict[str, str], human: bool
) -> None:
    assert is_human(FakeParticipant(kind, attributes, can_update_metadata=True)) is human


@pytest.mark.parametrize(
    ("status", "unanswered", "ended", "reachable"),
    [
        ("dialing", True, False, False),
        ("ringing", True, False, False),
        ("automation", False, False, False),
        ("active", False, False, True),
        ("hangup", False, True, False),
        ("", False, False, True),
    ],
)
def test_status_of_call_counts_for_sip_only(status: str, unanswered: bool, ended: bool, reachable: bool) -> None:
    phone = FakeParticipant(KIND.PARTICIPANT_KIND_SIP, {"sip.callStatus": status})
    assert (is_call_unanswered(phone), is_call_ended(phone), is_reachable(phone)) == (unanswered, ended, reachable)
    other = FakeParticipant(KIND.PARTICIPANT_KIND_STANDARD, {"sip.callStatus": status})
    assert (is_call_unanswered(other), is_call_ended(other), is_reachable(other)) == (False, False, True)
