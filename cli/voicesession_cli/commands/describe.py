"""`kubectl voice describe NAME`: the state and the timeline of a session."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import (
    AT_ANNOTATION,
    CLAIMED_AT_ANNOTATION,
    POOL_LABEL,
    SESSION_UID_LABEL,
)
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339

from voicesession_cli import output
from voicesession_cli.arguments import DescribeArguments
from voicesession_cli.kube_client import EVENTS, PODS, KubeApi, path
from voicesession_cli.output import clock, columns, format_precise_duration
from voicesession_cli.session_row import HEADER, SessionRow

DatedStep = tuple[str | None, str, str]
"""A timestamp or None, the step, and a detail."""
STEP_OF_REASON: Final = {"HumanJoined": "human in", "HumanLeft": "human out", "ResetComplete": "reset complete"}
"""Names of ordinary steps; all other events appear under their reason."""


CREATED: Final = "pod created"
CLAIMED: Final = "pod claimed"


@dataclass(frozen=True)
class TimelineEntry:
    """One step in the life of a session; `at` is in Unix seconds."""

    at: float
    step: str
    detail: str = ""


def timeline(session: JsonObject, pods: Iterable[JsonObject], events: Iterable[JsonObject]) -> list[TimelineEntry]:
    """Return the steps of a session, sorted by time.

    A timestamp of Kubernetes in whole seconds counts as the start of that second. Kubernetes deletes events after an
    hour by default; older steps come from the status alone.
    """
    status = session.get("status") or {}
    own = [event for event in events if event["involvedObject"].get("uid") == session["metadata"]["uid"]]
    # The sort is stable: a cause (the human left) stays before its effect (the reset started) at the same time.
    dated = [
        (session["metadata"]["creationTimestamp"], "created", ""),
        *(step for pod in pods for step in _pod_steps(pod)),
        *(_event_step(event) for event in own if not _is_in_status(event, status)),
        *_status_steps(status),
    ]
    entries: dict[tuple[float, str], TimelineEntry] = {}
    for text, step, detail in dated:
        if (at := from_rfc3339(text)) is not None:
            entries.setdefault((at, step), TimelineEntry(at, step, detail))
    for at in [at for at, step in entries if step == CLAIMED]:
        # The status has the time of the claim as that of the pod.
        entries.pop((at, CREATED), None)
    return sorted(entries.values(), key=lambda entry: entry.at)


def rows(entries: list[TimelineEntry]) -> list[tuple[str, ...]]:
    """Return the table: time of day in UTC, time since creation, time since the previous step, step, detail."""
    table: list[tuple[str, ...]] = [("TIME", "SINCE CREATED", "SINCE PREVIOUS", "WHAT", "DETAIL")]
    for previous, entry in zip([entries[0], *entries], entries, strict=False):
        since = (format_precise_duration(entry.at - entries[0].at), format_precise_duration(entry.at - previous.at))
        table.append((clock(entry.at), *since, entry.step, entry.detail))
    return table


def render(entries: list[TimelineEntry]) -> list[JsonObject]:
    """Return the timeline for JSON output."""
    return [{"at": to_rfc3339(entry.at), "what": entry.step, "detail": entry.detail or None} for entry in entries]


def _status_steps(status: JsonObject) -> list[DatedStep]:
    start = status.get("start") or {}
    return [
        (status.get("startedAt"), "started", "by the operator"),
        (start.get("podCreatedAt"), CREATED, ""),
        (start.get("boundAt"), "bound", ""),
        (start.get("joinedAt"), "joined", ""),
        (status.get("readyAt"), "ready", "the agent is in the room"),
        (status.get("firstHumanAt"), "first human in", ""),
        (status.get("lastHumanLeftAt"), "last human out", status.get("lastHumanLeftReason") or ""),
        *_reset_steps(f"reset {status.get('resets', 0)}", status.get("lastReset") or {}),
        (status.get("finishedAt"), "finished", status.get("endReason") or ""),
    ]


def _reset_steps(name: str, reset: JsonObject) -> Iterator[DatedStep]:
    started, completed = from_rfc3339(reset.get("startedAt")), from_rfc3339(reset.get("completedAt"))
    yield reset.get("startedAt"), f"{name} started", reset.get("cause", "")
    if started is not None and completed is not None:
        duration = format_precise_duration(completed - started)
        yield reset["completedAt"], f"{name} ended", f"{reset.get('outcome', '')} after {duration}"


def _pod_steps(pod: JsonObject) -> list[DatedStep]:
    meta, status = pod["metadata"], pod.get("status") or {}
    claimed_at = (meta.get("annotations") or {}).get(CLAIMED_AT_ANNOTATION)
    if claimed_at:
        return [(claimed_at, CLAIMED, f"{meta['name']} of the pool {meta.get('labels', {}).get(POOL_LABEL, '')}")]
    ready = [c for c in status.get("conditions") or () if c["type"] == "Ready" and c["status"] == "True"]
    states = [c.get("state", {}).get("running") or {} for c in status.get("containerStatuses") or ()]
    return [
        (meta["creationTimestamp"], CREATED, meta["name"]),
        *((state.get("startedAt"), "pod running", meta["name"]) for state in states),
        *((c["lastTransitionTime"], "pod ready", meta["name"]) for c in ready),
    ]


def _event_step(event: JsonObject) -> DatedStep:
    reason: str = event["reason"]
    return _event_time(event), STEP_OF_REASON.get(reason, reason), event.get("message", "")


def _is_in_status(event: JsonObject, status: JsonObject) -> bool:
    """Return whether the status records the same step: the first arrival, the last departure, the last reset."""
    at = from_rfc3339(_event_time(event)) or 0.0
    last_left_at = from_rfc3339(status.get("lastHumanLeftAt"))
    match event["reason"]:
        case "HumanJoined":
            return at == from_rfc3339(status.get("firstHumanAt"))
        case "HumanLeft":
            return last_left_at is not None and at >= last_left_at
        case "ResetComplete":
            return bool(status.get("lastReset")) and event.get("message", "").startswith(f"Reset {status['resets']} ")
    return bool(event["reason"] == "Finished")


def _event_time(event: JsonObject) -> str | None:
    annotations = event["metadata"].get("annotations") or {}
    return annotations.get(AT_ANNOTATION) or event.get("lastTimestamp") or event.get("eventTime")


def describe(arguments: DescribeArguments) -> int:
    """Print the session and return the exit code. Raises CommandError."""
    api = KubeApi(arguments.context)
    label, session_path = api.session(arguments.session, arguments.namespace)
    raw = api.get(label, session_path)
    session, now = SessionRow.parse(raw), output.now()
    pods = api.items("agent pods", path(PODS, session.namespace), labelSelector=f"{SESSION_UID_LABEL}={session.uid}")
    selector = f"involvedObject.name={session.name},involvedObject.kind=VoiceSession"
    events = api.items("events", path(EVENTS, session.namespace), fieldSelector=selector)
    entries = timeline(raw, pods, events)
    conditions = (raw.get("status") or {}).get("conditions") or []
    if arguments.json_output:
        print(json.dumps({**session.render(now), "conditions": conditions, "timeline": render(entries)}, indent=2))
        return 0
    pairs = [("NAMESPACE", session.namespace), *zip(HEADER, session.cells(now), strict=True)]
    print(*columns(pairs), "", *columns(_condition_rows(conditions)), "", *columns(rows(entries)), sep="\n")
    return 0


def _condition_rows(conditions: list[JsonObject]) -> list[tuple[str, ...]]:
    cells = [(c["type"], c["status"], c.get("reason", ""), c.get("message", "")) for c in conditions]
    return [("CONDITION", "STATUS", "REASON", "MESSAGE"), *cells]
