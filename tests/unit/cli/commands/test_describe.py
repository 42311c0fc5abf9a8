"""Tables, timelines and journals of the terminal: from raw objects to what is shown."""

from typing import Any

import pytest
from voicesession_cli.commands.describe import rows, timeline
from voicesession_cli.commands.drain_check import held
from voicesession_cli.commands.logs import entries, merge
from voicesession_cli.commands.reset import is_reset
from voicesession_cli.errors import CommandError
from voicesession_cli.output import columns, span, unix
from voicesession_cli.session_row import Sight, table

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


def event(reason: str, message: str, at: str, uid: str = "uid-hello", **steps: str) -> dict[str, Any]:
    """One at so many minutes and seconds past ten."""
    marks = {"at": f"2026-01-01T10:{at}Z", **{f"{step}-at": f"2026-01-01T10:{when}Z" for step, when in steps.items()}}
    annotations = {f"voicesession.dev/{name.replace('_', '-')}": when for name, when in marks.items()}
    about = {"metadata": {"annotations": annotations}, "involvedObject": {"uid": uid}}
    return {**about, "reason": reason, "message": message, "lastTimestamp": CREATED}


def test_a_timeline_is_in_order_and_tells_nothing_twice() -> None:
    last = {"startedAt": "2026-01-01T10:02:00.000Z", "completedAt": "2026-01-01T10:02:00.300Z", "outcome": "Complete"}
    raw = session(readyAt="2026-01-01T10:00:05.200Z", resets=2, lastReset=last)
    pod = {"metadata": {"name": "p", "creationTimestamp": "2026-01-01T10:00:01Z"}}
    events = [
        event("Ready", "is there", "00:05.210", pod_created="00:01", bound="00:03.000", joined="00:04.500"),
        event("ResetComplete", "Reset 1 (LastHumanLeft) complete after 0.30 s", "01:00"),
        event("ResetComplete", "Reset 2 (LastHumanLeft) complete after 0.30 s", "02:00.350"),
        event("AgentReplaced", "of another", "01:00", uid="older"),
    ]
    moments = timeline(raw, [pod], events)
    assert [m.what for m in moments] == [
        "created",
        "pod created",
        "bound",
        "joined",
        "ready",
        "reset over",
        "reset 2 began",
        "reset 2 over",
    ]
    assert rows(moments)[-1][1:] == ("2m", "0.300s", "reset 2 over", "Complete after 0.300s")


def test_what_is_known_of_a_pod_that_is_gone() -> None:
    moments = timeline(session(), [], [event("Ready", "is there", "00:05", pod_created="00:01", bound="00:03.250")])
    assert [(m.what, m.at - moments[0].at) for m in moments] == [("created", 0), ("pod created", 1), ("bound", 3.25)]


def test_an_event_without_annotations_stands_where_its_second_begins() -> None:
    old = {"metadata": {}, "involvedObject": {"uid": "uid-hello"}, "reason": "Recycled", "lastTimestamp": CREATED}
    assert [(m.at, m.what) for m in timeline(session(), [], [old])] == [
        (unix(CREATED), "created"),
        (unix(CREATED), "Recycled"),
    ]


VISITS = [
    event("HumanJoined", "Humans in the room: 1", "01:00.100"),
    event("HumanJoined", "Humans in the room: 2", "01:30.000"),
    event("HumanLeft", "Humans in the room: 1", "01:40.000"),
    event("HumanLeft", "Humans in the room: 0; the last one left (Left)", "01:50.500"),
    event("HumanJoined", "Humans in the room: 1", "02:10.000"),
    event("HumanLeft", "Humans in the room: 0; the last one left (Unknown)", "02:20.000"),
]


def visits(**status: str) -> list[tuple[str, str]]:
    times = {name: f"2026-01-01T10:{at}Z" for name, at in status.items()}
    table = rows(timeline(session(**times), [], VISITS))
    return [(clock[3:8], what) for clock, _, _, what, _ in table[2:]]


def test_every_visit_is_shown_also_those_before_a_reset() -> None:
    assert visits(firstHumanAt="01:00.100") == [
        ("01:00", "first human in"),
        ("01:30", "human in"),
        ("01:40", "human out"),
        ("01:50", "human out"),
        ("02:10", "human in"),
        ("02:20", "human out"),
    ]


def test_she_left_before_the_reset_of_the_same_moment() -> None:
    last = {"startedAt": "2026-01-01T10:02:20.000Z", "cause": "LastHumanLeft"}
    moments = timeline(session(resets=1, lastReset=last), [], VISITS)
    assert [m.what for m in moments][-2:] == ["human out", "reset 1 began"]


def test_the_status_knows_best_when_the_last_one_left() -> None:
    told = visits(firstHumanAt="01:00.100", lastHumanLeftAt="02:18.000")
    assert told[-2:] == [("02:10", "human in"), ("02:18", "last human out")]
    assert len(told) == 6


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
