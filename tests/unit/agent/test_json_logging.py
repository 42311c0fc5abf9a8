"""JSON log lines: allowed fields and hidden tokens."""

import json
import logging

from voicesession_agent.json_logging import AgentJsonFormatter


def parse_line(record: logging.LogRecord) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(AgentJsonFormatter().format(record))
    return parsed


def make_record(message: str, **extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message})
    record.__dict__.update(extra)
    return record


def test_line_contains_allowed_fields_only() -> None:
    extra = {"lk.pii.user_input": "secret"}
    logged = parse_line(make_record("joined", event="joined", launch=1, user_input="my secret", **extra))
    assert logged["event"] == "joined"
    assert "secret" not in json.dumps(logged)


def test_line_hides_tokens() -> None:
    text = "eyJhbGciOi.eyJzdWIiOi.c2ln"
    logged = parse_line(make_record(f"failed with {text}", exc_text=f"at {text}"))
    assert "eyJ" not in json.dumps(logged)
