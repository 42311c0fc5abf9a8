"""The protocol between supervisor and jobs: job ids, and the facts of a job as JSON."""

import json

import pytest
from voicesession_agent.memory.backend import Block
from voicesession_agent.protocol import (
    HISTORY_BYTES,
    HISTORY_MESSAGES,
    JobFacts,
    Message,
    job_id,
    launch_of,
    newest,
    parse_history,
)


def test_job_id_encodes_launch_number() -> None:
    assert launch_of(job_id(17)) == 17
    with pytest.raises(ValueError, match="invalid literal"):
        launch_of("AJ_abc")


def test_job_facts_survive_json_without_limits_of_blocks() -> None:
    block = Block("human", "Likes blue.", "The human.", limit=5000)
    history = (Message("user", "Hello."), Message("assistant", "Hi."))
    facts = JobFacts(
        frozenset({"b", "a"}), "hash-1", (block,), True, 30.0, history=history, recalls=True, summary="Old."
    )
    raw = json.loads(json.dumps(facts.to_json()))
    assert raw["greeted"] == ["a", "b"]
    shown = Block("human", "Likes blue.", "The human.")
    assert JobFacts.from_json(raw) == JobFacts(
        facts.greeted, "hash-1", (shown,), True, 30.0, history=history, recalls=True, summary="Old."
    )


def test_history_keeps_newest_messages_within_limits() -> None:
    many = [Message("user", str(n)) for n in range(1000)]
    assert [message.text for message in newest(many)] == [str(n) for n in range(1000 - HISTORY_MESSAGES, 1000)]
    long = newest([Message("user", "я" * 3000)] * 9)
    assert [len(message.text) for message in long] == [HISTORY_BYTES // 2 - 6000, 3000, 3000]
    assert newest(long) == long


def test_history_keeps_beginning_of_a_message_beyond_the_limit() -> None:
    odd = Message("assistant", "x" + "я" * HISTORY_BYTES)
    (kept,) = newest([Message("user", "Hello."), odd])
    assert kept == Message("assistant", "x" + "я" * (HISTORY_BYTES // 2 - 1))


@pytest.mark.parametrize("raw", [None, 5, [1], [["user"]], [["system", "x"]], [["user", 5]], [["user", "x", "y"]]])
def test_malformed_history_is_refused(raw: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        parse_history(raw)


def test_representation_of_message_has_no_text() -> None:
    assert "secret" not in repr(Message("user", "secret"))
