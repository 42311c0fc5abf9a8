"""JSON of sessions for callers, and errors of sessions that are not Ready."""

import json

import jsonschema
import pytest
from voicesession_gateway.errors import STATUS, ApiError, ErrorCode
from voicesession_gateway.naming import hash_label, session_name, session_number
from voicesession_gateway.routes import openapi_document
from voicesession_gateway.session_record import (
    SessionRecord,
    blocking_condition,
    deleted_to_json,
    ended_error,
    not_ready_error,
    to_json,
)

from tests.support import gateway_objects

SCHEMAS = json.loads(openapi_document())["components"]["schemas"]


def record(**values: object) -> SessionRecord:
    return SessionRecord.parse(gateway_objects.session(**values))  # type: ignore[arg-type]


def test_to_json_of_ready_session_matches_schema() -> None:
    document = to_json(record(status=gateway_objects.ready(humans=2, resets=1, readyAt="2025-11-22T23:20:05.000Z")))
    assert document == {
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
def test_to_json_of_every_state_matches_schema(status: dict[str, object]) -> None:
    for document in (to_json(record(status=status)), deleted_to_json(record(status=status))):
        jsonschema.validate(document, SCHEMAS["Session"])
    jsonschema.validate(ApiError(ErrorCode.INTERNAL, "m").to_json(), SCHEMAS["Error"])


def test_blocking_condition_returns_first_false_condition() -> None:
    document = to_json(record(status=gateway_objects.starting("PodNotRunning", "no such image")))
    assert (document["reason"], document["message"]) == ("PodNotRunning", "no such image")
    assert to_json(record())["reason"] == ""
    assert to_json(record())["phase"] == "Pending"


def test_to_json_of_finished_and_deleted_session_has_end_reason() -> None:
    document = to_json(record(status=gateway_objects.finished("Idle", "Nobody spoke")))
    assert (document["phase"], document["reason"], document["endReason"]) == ("Finished", "Idle", "Idle")
    deleted = deleted_to_json(record(status=gateway_objects.ready(humans=1)))
    assert (deleted["phase"], deleted["reason"], deleted["endReason"], deleted["humans"]) == (
        "Finished",
        "Deleted",
        "Requested",
        0,
    )


@pytest.mark.parametrize(
    ("values", "is_live", "is_ready"),
    [
        ({"status": gateway_objects.ready()}, True, True),
        ({"status": gateway_objects.starting()}, True, False),
        ({"status": gateway_objects.finished()}, False, False),
        ({"status": gateway_objects.ready(), "spec": {"end": True}}, False, False),
    ],
)
def test_record_is_live_until_finished_or_deleting(values: dict[str, object], is_live: bool, is_ready: bool) -> None:
    parsed = record(**values)
    assert (parsed.is_live, parsed.is_ready) == (is_live, is_ready)


@pytest.mark.parametrize(
    ("reason", "status"), [("StartDeadline", 504), ("AgentLost", 503), ("Invalid", 503), ("LastHumanLeft", 503)]
)
def test_ended_error_before_ready_has_end_reason(reason: str, status: int) -> None:
    before = blocking_condition(record(status=gateway_objects.starting("PodNotRunning", "no such image")))
    error = ended_error(record(status=gateway_objects.finished(reason, "It is over")), before)
    assert (error.status, error.reason) == (status, reason)
    assert error.message == "It is over (PodNotRunning: no such image)"


def test_ended_error_of_deleted_session_has_requested_reason() -> None:
    assert ended_error(record(), None).reason == "Requested"


def test_not_ready_error_names_blocking_condition() -> None:
    error = not_ready_error(record(status=gateway_objects.starting("AgentNotFound", "no VoiceAgent")), 65)
    assert (error.status, error.reason) == (504, "AgentNotFound")
    assert error.message == "not Ready after 65 s (AgentNotFound: no VoiceAgent)"
    without_status = not_ready_error(record(), 65)
    assert (without_status.reason, "operator has not reported a status" in without_status.message) == (
        "SessionNotReady",
        True,
    )


def test_every_error_code_has_http_status() -> None:
    assert STATUS.keys() == set(ErrorCode)


def test_session_name_encodes_conversation_and_number() -> None:
    conversation = hash_label("x")
    assert [session_number(session_name(conversation, n), conversation) for n in (1, 2, 30)] == [1, 2, 30]
    assert session_number(session_name(hash_label("y"), 2), conversation) == 0
    assert session_number(f"{session_name(conversation, 1)}-x", conversation) == 0
    assert hash_label("ab", "c") != hash_label("a", "bc")
