"""`describe`: the timeline from the status, the pods and the events of a session."""

from typing import Any

from voicesession_cli.commands.describe import rows, timeline
from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339

from tests.support.fakes.cli_api import CREATED, session


def event(reason: str, message: str, at: str, uid: str = "uid-hello") -> JsonObject:
    """Return an event; `at` has minutes and seconds after ten o'clock."""
    annotations = {"voicesession.dev/at": f"2026-01-01T10:{at}Z"}
    about: JsonObject = {"metadata": {"annotations": annotations}, "involvedObject": {"uid": uid}}
    return {**about, "reason": reason, "message": message, "lastTimestamp": CREATED}


STEPS = {"podCreatedAt": "01", "boundAt": "03.000", "joinedAt": "04.500"}


def test_timeline_is_sorted_and_free_of_duplicates() -> None:
    last = {"startedAt": "2026-01-01T10:02:00.000Z", "completedAt": "2026-01-01T10:02:00.300Z", "outcome": "Complete"}
    start = {name: f"2026-01-01T10:00:{at}Z" for name, at in STEPS.items()}
    raw = session(readyAt="2026-01-01T10:00:05.200Z", start=start, resets=2, lastReset=last)
    pod: dict[str, Any] = {"metadata": {"name": "p", "creationTimestamp": "2026-01-01T10:00:01Z"}}
    events = [
        event("ResetComplete", "Reset 1 (LastHumanLeft) complete after 0.30 s", "01:00"),
        event("ResetComplete", "Reset 2 (LastHumanLeft) complete after 0.30 s", "02:00.350"),
        event("AgentReplaced", "of another", "01:00", uid="older"),
    ]
    entries = timeline(raw, [pod], events)
    assert [entry.step for entry in entries] == [
        "created",
        "pod created",
        "bound",
        "joined",
        "ready",
        "reset complete",
        "reset 2 started",
        "reset 2 ended",
    ]
    assert rows(entries)[-1][1:] == ("2m", "0.300s", "reset 2 ended", "Complete after 0.300s")


def test_timeline_of_deleted_pod_comes_from_status() -> None:
    start = {"podCreatedAt": "2026-01-01T10:00:01Z", "boundAt": "2026-01-01T10:00:03.250Z", "joinedAt": None}
    entries = timeline(session(start=start), [], [])
    steps = [(entry.step, entry.at - entries[0].at) for entry in entries]
    assert steps == [("created", 0), ("pod created", 1), ("bound", 3.25)]


def test_timeline_with_claimed_pod_begins_with_session() -> None:
    claimed_at = "2026-01-01T10:00:00.120Z"
    metadata: dict[str, Any] = {"name": "front-x", "creationTimestamp": "2026-01-01T09:00:00Z"}
    metadata |= {
        "annotations": {"voicesession.dev/claimed-at": claimed_at},
        "labels": {"voicesession.dev/pool": "front"},
    }
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T09:00:05Z"}
    pod: dict[str, Any] = {"metadata": metadata, "status": {"conditions": [ready]}}
    start = {"podCreatedAt": claimed_at, "boundAt": "2026-01-01T10:00:00.200Z"}
    entries = timeline(session(start=start), [pod], [])
    assert [(entry.step, entry.detail) for entry in entries] == [
        ("created", ""),
        ("pod claimed", "front-x of the pool front"),
        ("bound", ""),
    ]


def test_event_without_annotations_counts_at_start_of_second() -> None:
    old = {"metadata": {}, "involvedObject": {"uid": "uid-hello"}, "reason": "Recycled", "lastTimestamp": CREATED}
    created = from_rfc3339(CREATED)
    entries = timeline(session(), [], [old])
    assert [(entry.at, entry.step) for entry in entries] == [(created, "created"), (created, "Recycled")]


VISITS = [
    event("HumanJoined", "Humans in the room: 1", "01:00.100"),
    event("HumanJoined", "Humans in the room: 2", "01:30.000"),
    event("HumanLeft", "Humans in the room: 1", "01:40.000"),
    event("HumanLeft", "Humans in the room: 0; the last one left (Left)", "01:50.500"),
    event("HumanJoined", "Humans in the room: 1", "02:10.000"),
    event("HumanLeft", "Humans in the room: 0; the last one left (Unknown)", "02:20.000"),
]


def visit_rows(**status: str) -> list[tuple[str, str]]:
    times = {name: f"2026-01-01T10:{at}Z" for name, at in status.items()}
    table = rows(timeline(session(**times), [], VISITS))
    return [(clock[3:8], step) for clock, _, _, step, _ in table[2:]]


def test_timeline_shows_every_visit_including_earlier_conversations() -> None:
    assert visit_rows(firstHumanAt="01:00.100") == [
        ("01:00", "first human in"),
        ("01:30", "human in"),
        ("01:40", "human out"),
        ("01:50", "human out"),
        ("02:10", "human in"),
        ("02:20", "human out"),
    ]


def test_human_leaving_precedes_reset_of_same_moment() -> None:
    last = {"startedAt": "2026-01-01T10:02:20.000Z", "cause": "LastHumanLeft"}
    entries = timeline(session(resets=1, lastReset=last), [], VISITS)
    assert [entry.step for entry in entries][-2:] == ["human out", "reset 1 started"]


def test_last_human_left_time_comes_from_status() -> None:
    shown = visit_rows(firstHumanAt="01:00.100", lastHumanLeftAt="02:18.000")
    assert shown[-2:] == [("02:10", "human in"), ("02:18", "last human out")]
    assert len(shown) == 6
