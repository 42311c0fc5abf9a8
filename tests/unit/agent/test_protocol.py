"""The protocol between supervisor and jobs: job ids, and the facts of a job as JSON."""

import json

import pytest
from voicesession_agent.memory.backend import Block
from voicesession_agent.protocol import JobFacts, job_id, launch_of


def test_job_id_encodes_launch_number() -> None:
    assert launch_of(job_id(17)) == 17
    with pytest.raises(ValueError, match="invalid literal"):
        launch_of("AJ_abc")


def test_job_facts_survive_json_without_limits_of_blocks() -> None:
    block = Block("human", "Likes blue.", "The human.", limit=5000)
    facts = JobFacts(frozenset({"b", "a"}), "hash-1", (block,), remembers=True, idle_seconds=30.0)
    raw = json.loads(json.dumps(facts.to_json()))
    assert raw["greeted"] == ["a", "b"]
    shown = Block("human", "Likes blue.", "The human.")
    assert JobFacts.from_json(raw) == JobFacts(facts.greeted, "hash-1", (shown,), remembers=True, idle_seconds=30.0)
