"""A session as callers see it, and why it is not Ready."""

import json

import jsonschema
import pytest
from voicesession_gateway.errors import STATUS, Kind, Refusal
from voicesession_gateway.naming import label, session_name, session_number
from voicesession_gateway.routes import document
from voicesession_gateway.session_record import Record, ended, gone_view, lacking, not_ready, view

from tests.support import gateway_objects

SCHEMAS = json.loads(document())["components"]["schemas"]


def record(**values: object) -> Record:
    return Record.parse(gateway_objects.session(**values))  # type: ignore[arg-type]


def test_a_ready_session_as_the_document_says() -> None:
    found = view(record(status=gateway_objects.ready(humans=2, resets=1, readyAt="2025-11-22T23:20:05.000Z")))
    assert found == {
        "name": "call-a",
        "agent": "agent-66",
        "phase": "Ready",
        "reason": "Ready",
        "message": "The agent is in the room",
        "humans": 2,
        "resets": 1,
        "room": {"name": "vs-room"},
        "endReason": None,
        "createdAt": "2025-11-22T23:20:00.000Z",
        "readyAt": "2025-11-22T23:20:05.000Z",
    }


@pytest.mark.parametrize(
    "status", [{}, gateway_objects.starting(), gateway_objects.ready(), gateway_objects.finished()]
)
def test_every_state_is_of_the_documents_schema(status: dict[str, object]) -> None:
    for shown in (view(record(status=status)), gone_view(record(status=status))):
        jsonschema.validate(shown, SCHEMAS["Session"])
    jsonschema.validate(Refusal(Kind.INTERNAL, "m").render(), SCHEMAS["Error"])


def test_what_is_lacking_is_told() -> None:
    found = view(record(status=gateway_objects.starting("PodNotRunning", "no such image")))
    assert (found["reason"], found["message"]) == ("PodNotRunning", "no such image")
    assert view(record())["reason"] == ""
    assert view(record())["phase"] == "Pending"


def test_a_finished_and_a_deleted_one() -> None:
    found = view(record(status=gateway_objects.finished("Idle", "Nobody spoke")))
    assert (found["phase"], found["reason"], found["endReason"]) == ("Finished", "Idle", "Idle")
    gone = gone_view(record(status=gateway_objects.ready(humans=1)))
    assert (gone["phase"], gone["reason"], gone["endReason"], gone["humans"]) == ("Finished", "Deleted", "Requested", 0)


@pytest.mark.parametrize(
    ("values", "is_live", "is_ready"),
    [
        ({"status": gateway_objects.ready()}, True, True),
        ({"status": gateway_objects.starting()}, True, False),
        ({"status": gateway_objects.finished()}, False, False),
        ({"status": gateway_objects.ready(), "spec": {"end": True}}, False, False),
    ],
)
def test_who_may_be_joined(values: dict[str, object], is_live: bool, is_ready: bool) -> None:
    found = record(**values)
    assert (found.is_live, found.is_ready) == (is_live, is_ready)


@pytest.mark.parametrize(
    ("reason", "status"), [("StartDeadline", 504), ("AgentLost", 503), ("Invalid", 503), ("LastHumanLeft", 503)]
)
def test_an_end_before_it_was_ready_is_told_with_its_reason(reason: str, status: int) -> None:
    before = lacking(record(status=gateway_objects.starting("PodNotRunning", "no such image")))
    found = ended(record(status=gateway_objects.finished(reason, "It is over")), before)
    assert (found.status, found.reason) == (status, reason)
    assert found.message == "It is over (PodNotRunning: no such image)"


def test_a_deleted_one_has_no_reason_but_that() -> None:
    assert ended(record(), None).reason == "Requested"


def test_a_deadline_tells_what_is_missing() -> None:
    found = not_ready(record(status=gateway_objects.starting("AgentNotFound", "no VoiceAgent")), 65)
    assert (found.status, found.reason) == (504, "AgentNotFound")
    assert found.message == "not Ready after 65 s (AgentNotFound: no VoiceAgent)"
    silent = not_ready(record(), 65)
    assert (silent.reason, "operator has not said anything" in silent.message) == ("SessionNotReady", True)


def test_every_kind_of_refusal_has_a_status() -> None:
    assert STATUS.keys() == set(Kind)


def test_names_follow_from_the_conversation_and_lead_back_to_its_number() -> None:
    conversation = label("x")
    assert [session_number(session_name(conversation, n), conversation) for n in (1, 2, 30)] == [1, 2, 30]
    assert session_number(session_name(label("y"), 2), conversation) == 0
    assert session_number(f"{session_name(conversation, 1)}-x", conversation) == 0
    assert label("ab", "c") != label("a", "bc")
