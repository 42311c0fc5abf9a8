"""A session as callers see it, and why it is not Ready."""

import json

import jsonschema
import pytest
from voicesession_operator.gateway.api import document
from voicesession_operator.gateway.naming import label, session_name, session_number
from voicesession_operator.gateway.rates import REMEMBERED, Buckets, Rate
from voicesession_operator.gateway.records import Record, ended, gone_view, lacking, not_ready, view
from voicesession_operator.gateway.refusal import STATUS, Kind, Refusal

from tests.unit.gateway import raw

SCHEMAS = json.loads(document())["components"]["schemas"]


def record(**values: object) -> Record:
    return Record.parse(raw.session(**values))  # type: ignore[arg-type]


def test_a_ready_session_as_the_document_says() -> None:
    found = view(record(status=raw.ready(humans=2, resets=1, readyAt="2025-11-22T23:20:05.000Z")))
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


@pytest.mark.parametrize("status", [{}, raw.starting(), raw.ready(), raw.finished()])
def test_every_state_is_of_the_documents_schema(status: dict[str, object]) -> None:
    for shown in (view(record(status=status)), gone_view(record(status=status))):
        jsonschema.validate(shown, SCHEMAS["Session"])
    jsonschema.validate(Refusal(Kind.INTERNAL, "m").render(), SCHEMAS["Error"])


def test_what_is_lacking_is_told() -> None:
    found = view(record(status=raw.starting("PodTrouble", "no such image")))
    assert (found["reason"], found["message"]) == ("PodTrouble", "no such image")
    assert view(record())["reason"] == ""
    assert view(record())["phase"] == "Pending"


def test_a_finished_and_a_deleted_one() -> None:
    found = view(record(status=raw.finished("Idle", "Nobody spoke")))
    assert (found["phase"], found["reason"], found["endReason"]) == ("Finished", "Idle", "Idle")
    gone = gone_view(record(status=raw.ready(humans=1)))
    assert (gone["phase"], gone["reason"], gone["endReason"], gone["humans"]) == ("Finished", "Deleted", "Requested", 0)


@pytest.mark.parametrize(
    ("values", "is_live", "is_ready"),
    [
        ({"status": raw.ready()}, True, True),
        ({"status": raw.starting()}, True, False),
        ({"status": raw.finished()}, False, False),
        ({"status": raw.ready(), "spec": {"end": True}}, False, False),
    ],
)
def test_who_may_be_joined(values: dict[str, object], is_live: bool, is_ready: bool) -> None:
    found = record(**values)
    assert (found.is_live, found.is_ready) == (is_live, is_ready)


@pytest.mark.parametrize(
    ("reason", "status"), [("StartDeadline", 504), ("AgentLost", 503), ("Invalid", 503), ("LastHumanLeft", 503)]
)
def test_an_end_before_it_was_ready_is_told_with_its_reason(reason: str, status: int) -> None:
    before = lacking(record(status=raw.starting("PodTrouble", "no such image")))
    found = ended(record(status=raw.finished(reason, "It is over")), before)
    assert (found.status, found.reason) == (status, reason)
    assert found.message == "It is over (PodTrouble: no such image)"


def test_a_deleted_one_has_no_reason_but_that() -> None:
    assert ended(record(), None).reason == "Requested"


def test_a_deadline_tells_what_is_missing() -> None:
    found = not_ready(record(status=raw.starting("AgentNotFound", "no VoiceAgent")), 65)
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


def test_a_bucket_is_emptied_and_fills_again() -> None:
    buckets = Buckets(Rate(2.0, 3))
    assert [buckets.take("a", 10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 10.0) == 0
    assert buckets.take("a", 10.25) == pytest.approx(0.25)
    assert buckets.take("a", 10.5) == 0
    assert [buckets.take("a", 99.0) for _ in range(4)] == [0, 0, 0, 0.5], "it never holds more than its burst"


def test_no_more_buckets_are_kept_than_anybody_needs() -> None:
    buckets = Buckets(Rate(0.001, 1))
    for number in range(REMEMBERED + 1):
        buckets.take(str(number), 0.0)
    assert buckets.take(str(REMEMBERED), 0.0) > 0
    assert buckets.take("0", 0.0) == 0, "the one that was quiet the longest is forgotten"
