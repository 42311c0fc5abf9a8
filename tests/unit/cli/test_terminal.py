"""Tables, timelines and journals of the terminal: from raw objects to what is shown."""

from typing import Any

import pytest
from voicesession_cli.drain_check import held
from voicesession_cli.errors import CommandError
from voicesession_cli.journal import entries, merge
from voicesession_cli.orders import is_reset
from voicesession_cli.sight import Sight, table
from voicesession_cli.table import columns
from voicesession_cli.timeline import rows, timeline
from voicesession_cli.times import span, unix

CREATED = "2026-01-01T10:00:00Z"
NOW = unix("2026-01-01T10:05:00Z") or 0.0


def session(name: str = "hello", **status: Any) -> dict[str, Any]:
    meta = {"namespace": "calls", "name": name, "uid": f"uid-{name}", "creationTimestamp": CREATED}
    return {"metadata": meta, "spec": {"agentRef": {"name": "fake"}}, "status": status}


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0s"), (95, "95s"), (125, "2m5s"), (12000, "3h20m"), (86400, "1d")]
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_row_says_who_talks_and_how_long() -> None:
    raw = session(
        phase="Active", humans=1, firstHumanAt="2026-01-01T10:01:00Z", agent={"pod": "p"}, room={"name": "vs-a"}
    )
    assert Sight.of(raw).row(NOW) == ("hello", "fake", "Active", "1", "", "4m", "0", "vs-a", "p", "5m")


def test_after_a_reset_a_talk_is_at_most_that_long() -> None:
    reset = {"completedAt": "2026-01-01T10:04:00Z"}
    raw = session(phase="Active", humans=1, resets=1, firstHumanAt="2026-01-01T10:01:00Z", lastReset=reset)
    assert Sight.of(raw).talk(NOW) == "<60s"
    assert Sight.of(session(phase="Ready", resets=1, firstHumanAt=CREATED, lastReset=reset)).talk(NOW) == ""


def test_a_session_without_a_status_and_one_of_another_namespace_have_rows() -> None:
    lines = columns(table([Sight.of(session())], NOW, with_namespace=True))
    assert [line.split()[:4] for line in lines] == [
        ["NAMESPACE", "NAME", "AGENT", "PHASE"],
        ["calls", "hello", "fake", "Pending"],
    ]


def test_a_timeline_is_in_order_and_tells_nothing_twice() -> None:
    last = {"startedAt": "2026-01-01T10:02:00.000Z", "completedAt": "2026-01-01T10:02:00.300Z", "outcome": "Complete"}
    raw = session(readyAt="2026-01-01T10:00:05.200Z", resets=2, lastReset=last)
    about = {"involvedObject": {"uid": "uid-hello"}, "lastTimestamp": "2026-01-01T10:01:00Z"}
    events = [
        {**about, "reason": "Ready", "message": "is there"},
        {**about, "reason": "ResetComplete", "message": "Reset 1 (LastHumanLeft) complete after 0.30 s"},
        {**about, "reason": "ResetComplete", "message": "Reset 2 (LastHumanLeft) complete after 0.30 s"},
        {**about, "reason": "AgentReplaced", "message": "of another", "involvedObject": {"uid": "older"}},
    ]
    moments = timeline(raw, [], events)
    assert [m.what for m in moments] == ["created", "ready", "ResetComplete", "reset 2 began", "reset 2 over"]
    assert rows(moments)[-1][1:3] == ("2m", "0.300s")


def test_a_journal_has_of_the_operator_only_what_is_about_the_session() -> None:
    agent = entries("agent", "p", ['2026-01-01T10:00:02.5Z {"message": "joined"}', "2026-01-01T10:00:04Z plain text"])
    lines = ['{"key": "calls/hello", "message": "again"}', '{"key": "calls/other"}', "no JSON of calls/hello"]
    operator = entries("operator", "o", [f"2026-01-01T10:00:03.123456789Z {line}" for line in lines])
    found = merge([agent], [operator], frozenset({"calls/hello"}))
    assert [entry.source for entry in found] == ["agent", "operator", "agent"]
    assert found[1].line() == "10:00:03.123 operator         again key=calls/hello"


def test_a_reset_is_over_once_its_own_is() -> None:
    done = {"request": "r", "completedAt": CREATED}
    assert is_reset(session(resets=1, lastReset=done), 0, "r", "it")
    assert not is_reset(session(resets=1, lastReset=done | {"request": "older"}), 0, "r", "it")
    assert not is_reset(session(resets=1, lastReset={"request": "r"}), 0, "r", "it")
    with pytest.raises(CommandError, match="finished meanwhile: Idle"):
        is_reset(session(conditions=[{"type": "Finished", "status": "True"}], endReason="Idle"), 0, "r", "it")


def test_finished_calls_and_pods_that_go_hold_no_node() -> None:
    def pod(name: str, **more: str) -> dict[str, Any]:
        return {"metadata": {"name": f"{name}-0", "labels": {"voicesession.dev/session-uid": f"uid-{name}"}, **more}}

    sessions = [session("a"), session("b", humans=2), session("c", phase="Finished"), session("d")]
    calls = held([pod("a"), pod("b"), pod("c"), pod("d", deletionTimestamp=CREATED), pod("stray")], sessions)
    assert [call.session.name for call in calls] == ["b", "a"]
