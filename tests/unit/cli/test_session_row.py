"""Rows of sessions: cells, durations of conversations, and the table."""

from voicesession_cli.output import columns
from voicesession_cli.session_row import SessionRow, table
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.fakes.cli_api import CREATED, session

NOW = from_rfc3339("2026-01-01T10:05:00Z") or 0.0


def test_row_shows_humans_and_duration_of_conversation() -> None:
    raw = session(
        phase="Active", humans=1, firstHumanAt="2026-01-01T10:01:00Z", agent={"pod": "p"}, room={"name": "vs-a"}
    )
    assert SessionRow.parse(raw).cells(NOW) == ("hello", "fake", "Active", "1", "", "4m", "0", "vs-a", "p", "5m")


def test_conversation_after_reset_has_upper_bound() -> None:
    reset = {"completedAt": "2026-01-01T10:04:00Z"}
    raw = session(phase="Active", humans=1, resets=1, firstHumanAt="2026-01-01T10:01:00Z", lastReset=reset)
    assert SessionRow.parse(raw).talk(NOW) == "<60s"
    assert SessionRow.parse(session(phase="Ready", resets=1, firstHumanAt=CREATED, lastReset=reset)).talk(NOW) == ""


def test_table_with_namespaces_shows_session_without_status() -> None:
    lines = columns(table([SessionRow.parse(session())], NOW, with_namespace=True))
    assert [line.split()[:4] for line in lines] == [
        ["NAMESPACE", "NAME", "AGENT", "PHASE"],
        ["calls", "hello", "fake", "Pending"],
    ]
