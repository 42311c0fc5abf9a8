"""Classification of participants as humans, case by case."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_operator.domain.humans import connecting_humans, is_human, present_humans
from voicesession_operator.domain.observed import ParticipantKind, Room, RoomUnknown

from tests.support.builders import agent_participant, human

ROLE = "voicesession.role"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"kind": ParticipantKind.SIP}, True),
        ({"kind": ParticipantKind.CONNECTOR}, True),
        ({"kind": ParticipantKind.AGENT}, False),
        ({"kind": ParticipantKind.EGRESS}, False),
        ({"kind": ParticipantKind.INGRESS}, False),
        ({"kind": ParticipantKind.BRIDGE}, False),
        ({"kind": ParticipantKind.UNKNOWN}, False),
        ({"hidden": True}, False),
        ({"recorder": True}, False),
        ({"agent": True}, False),
        ({"attributes": {"lk.publish_on_behalf": "agent-66"}}, False),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.INGRESS}, True),
        ({"attributes": {ROLE: "human"}, "hidden": True}, True),
        ({"attributes": {ROLE: "observer"}}, False),
        ({"attributes": {ROLE: "agent"}}, False),
        ({"attributes": {ROLE: ""}}, True),
        ({"attributes": {ROLE: "observer"}, "can_update_metadata": True}, True),
        ({"attributes": {"lk.publish_on_behalf": "agent-66"}, "can_update_metadata": True}, True),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.INGRESS, "can_update_metadata": True}, False),
        ({"attributes": {ROLE: "agent"}, "kind": ParticipantKind.SIP, "can_update_metadata": True}, True),
        ({"attributes": {ROLE: "human"}, "kind": ParticipantKind.AGENT, "can_update_metadata": True}, True),
    ],
)
def test_is_human_classifies_participant(change: dict[str, Any], expected: bool) -> None:
    assert is_human(replace(human(), **change)) is expected


def test_present_humans_excludes_connecting_participants() -> None:
    connecting = replace(human("bob"), active=False)
    room = Room("RM_1", (human("alice"), connecting, agent_participant(), agent_participant("PA_2", active=False)))
    assert [p.identity for p in present_humans(room)] == ["alice"]
    assert [p.identity for p in connecting_humans(room)] == ["bob"]


@pytest.mark.parametrize(
    ("call_status", "kind", "is_present"),
    [
        ("dialing", ParticipantKind.SIP, False),
        ("ringing", ParticipantKind.SIP, False),
        ("active", ParticipantKind.SIP, True),
        ("automation", ParticipantKind.SIP, True),
        ("", ParticipantKind.SIP, True),
        ("ringing", ParticipantKind.STANDARD, True),
    ],
)
def test_unanswered_sip_call_is_connecting(call_status: str, kind: ParticipantKind, is_present: bool) -> None:
    callee = human(attributes={"sip.callStatus": call_status}, can_update_metadata=True)
    room = Room("RM_1", (replace(callee, kind=kind),))
    assert (len(present_humans(room)), len(connecting_humans(room))) == (int(is_present), int(not is_present))


def test_missing_or_unknown_room_has_no_humans() -> None:
    for room in (None, RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")):
        assert (present_humans(room), connecting_humans(room)) == ((), ())
