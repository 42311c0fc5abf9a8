"""Log lines carry nothing private."""

import json
import logging

from voicesession_agent.metrics import JsonFormatter, process_started_at


def line(record: logging.LogRecord) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(JsonFormatter().format(record))
    return parsed


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message})
    made.__dict__.update(extra)
    return made


def test_only_known_fields_pass() -> None:
    logged = line(record("joined", event="joined", launch=1, user_input="my secret", **{"lk.pii.user_input": "secret"}))
    assert logged["event"] == "joined"
    assert "secret" not in json.dumps(logged)


def test_tokens_are_cut_out() -> None:
    logged = line(record("failed with eyJhbGciOi.eyJzdWIiOi.c2ln", exc_text="at eyJhbGciOi.eyJzdWIiOi.c2ln"))
    assert "eyJ" not in json.dumps(logged)


def test_the_process_started_before_now() -> None:
    assert process_started_at() < record("x").created + 1
