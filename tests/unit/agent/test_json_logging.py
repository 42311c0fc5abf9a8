"""JSON log lines: allowed fields, hidden tokens, and no text of a conversation."""

import ast
import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import voicesession_agent
from voicesession_agent.json_logging import LOGGED_FIELDS, AgentJsonFormatter, RedactingFilter, redact_job_logs

CANARY = "HIV positive since March"
LIBRARY = openai.__file__
OURS = voicesession_agent.__file__
USERS = "/app/clinic/agent.py"


def parse_line(record: logging.LogRecord, entrypoint: str = "") -> dict[str, object]:
    RedactingFilter(entrypoint).filter(record)
    parsed: dict[str, object] = json.loads(AgentJsonFormatter().format(record))
    return parsed


def make_record(message: object, pathname: str = OURS, **extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": message, "pathname": pathname})
    record.__dict__.update(extra)
    return record


def raise_quoting_error() -> None:
    try:
        raise ValueError(f"message='the prompt {CANARY} was refused'")
    except ValueError as error:
        raise ExceptionGroup(CANARY, [RuntimeError(f"body={CANARY}\n  File {CANARY}")]) from error


@pytest.fixture
def quoting_error() -> Exception:
    with pytest.raises(ExceptionGroup) as caught:
        raise_quoting_error()
    return caught.value


@pytest.fixture
def root_handler() -> Iterator[logging.StreamHandler[object]]:
    handler: logging.StreamHandler[object] = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def extra_fields(source: str) -> Iterator[str]:
    """Yield the keys of all dictionaries in a module that have an event."""
    for node in ast.walk(ast.parse(source)):
        keys = [k.value for k in node.keys if isinstance(k, ast.Constant)] if isinstance(node, ast.Dict) else []
        if "event" in keys:
            yield from map(str, keys)


def test_every_field_of_own_records_is_allowed() -> None:
    modules = Path(OURS).parent.rglob("*.py")
    used = {field for module in modules for field in extra_fields(module.read_text())}
    assert used > {"event", "callback", "programs"}
    assert used <= LOGGED_FIELDS


def test_line_contains_allowed_fields_only() -> None:
    extra = {"lk.pii.user_input": "secret"}
    logged = parse_line(make_record("joined", event="joined", launch=1, user_input="my secret", **extra))
    assert logged["event"] == "joined"
    assert "secret" not in json.dumps(logged)


def test_line_hides_tokens() -> None:
    text = "eyJhbGciOi.eyJzdWIiOi.c2ln"
    logged = parse_line(make_record(f"failed with {text}", exc_text=f"at {text}"))
    assert "eyJ" not in json.dumps(logged)


@pytest.mark.parametrize(
    ("message", "arguments", "logged"),
    [
        (f"failed to synthesize speech: no audio frames were pushed for text: {CANARY}, retrying in 0.1s", (), None),
        ("failed to publish a transcription: %s", (CANARY,), "failed to publish a transcription"),
        ("Retrying request to %s in %f seconds", (CANARY, 0.5), "Retrying request to %s in %f seconds"),
        (f"unknown AI function `{CANARY}`", (), "unknown AI function <text>"),
        (f"Task exception was never retrieved\nfuture {CANARY}", (), "Task exception was never retrieved"),
        (ValueError(f"refused: {CANARY}"), (), "refused"),
        ("x" * 200, (), "x" * 120),
    ],
)
def test_library_message_keeps_constant_beginning(
    message: object, arguments: tuple[object, ...], logged: str | None
) -> None:
    line = parse_line(make_record(message, LIBRARY, args=arguments))
    assert CANARY not in json.dumps(line)
    assert line["message"] == (logged or "failed to synthesize speech")


def test_library_fields_are_numbers_or_names_of_the_job() -> None:
    fields = {"reason": CANARY, "tools": [CANARY], "pid": 7, "elapsed_time": 0.5, "job_id": "job-1", "room": "vs-1"}
    line = parse_line(make_record("job exiting", LIBRARY, **fields))
    assert {name: line[name] for name in fields if name in line} == {
        "pid": 7,
        "elapsed_time": 0.5,
        "job_id": "job-1",
        "room": "vs-1",
    }


@pytest.mark.parametrize("pathname", [LIBRARY, OURS, asyncio.__file__])
def test_error_is_logged_by_types_and_frames(quoting_error: Exception, pathname: str) -> None:
    line = parse_line(make_record("request failed", pathname, exc_info=(type(quoting_error), quoting_error, None)))
    assert CANARY not in json.dumps(line)
    error = str(line["error"])
    types = [one for one in error.splitlines() if not one.startswith("  ")]
    assert types == ["builtins.ValueError", "builtins.RuntimeError", "builtins.ExceptionGroup"]
    assert f"{Path(__file__)}:" in error
    assert "in raise_quoting_error" in error


def test_error_with_circular_causes_is_logged() -> None:
    first, second = ValueError(CANARY), KeyError(CANARY)
    first.__cause__, second.__cause__ = second, first
    line = parse_line(make_record("failed", LIBRARY, exc_info=(ValueError, first, None)))
    assert line["error"] == "builtins.KeyError\nbuiltins.ValueError"


@pytest.mark.parametrize(
    ("pathname", "entrypoint"),
    [(USERS, "clinic.agent:run"), (f"{Path(LIBRARY).parent.parent}/clinic/agent.py", "clinic.agent:run")],
)
def test_line_of_own_module_stays_as_written(quoting_error: Exception, pathname: str, entrypoint: str) -> None:
    record = make_record("patient: %s", pathname, args=("42",), exc_info=(ValueError, quoting_error, None))
    line = parse_line(record, entrypoint)
    assert line["message"] == "patient: 42"
    assert CANARY in str(line["error"])


def test_installed_module_of_another_package_is_a_library() -> None:
    pathname = f"{Path(LIBRARY).parent.parent}/clinics/agent.py"
    assert parse_line(make_record(f"said: {CANARY}", pathname), "clinic.agent:run")["message"] == "said"


def test_own_package_message_has_no_error_text_of_a_job() -> None:
    line = parse_line(make_record(f"a cleanup step failed\nValueError {CANARY}", OURS))
    assert line["message"] == "a cleanup step failed"


def test_job_handlers_are_redacted(root_handler: "logging.StreamHandler[object]") -> None:
    redact_job_logs("")
    record = make_record(f"failed: {CANARY}", LIBRARY)
    assert root_handler.filter(record)
    assert record.getMessage() == "failed"
