"""Classification of participants as humans, case by case."""

from dataclasses import replace
from typing import Any

import pytest
from voicesession_operator.domain.humans import active_humans, is_human
from voicesession_operator.domain.observed import ParticipantKind, Room

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
    ],
)
def test_is_human_classifies_participant(change: dict[str, Any], expected: bool) -> None:
    assert is_human(replace(human(), **change)) is expected


def test_active_humans_excludes_connecting_participants() -> None:
    connecting = replace(human("bob"), active=False)
    room = Room("RM_1", (human("alice"), connecting, agent_participant()))
    assert [p.identity for p in active_humans(room)] == ["alice"]
