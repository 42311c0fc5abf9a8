"""The life of a session from its status, its pods and its events. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli.times import clock, precise, rfc3339, unix

Json = dict[str, Any]
TOLD_BETTER: Final = frozenset({"Ready", "Finished"})
"""Reasons of events, to the second, of what the status knows to the millisecond."""


@dataclass(frozen=True)
class Moment:
    at: float
    what: str
    detail: str = ""


def timeline(session: Json, pods: Iterable[Json], events: Iterable[Json]) -> list[Moment]:
    """In order of time; what Kubernetes tells to the second only stands where that second begins."""
    meta, status = session["metadata"], session.get("status") or {}
    last = status.get("lastReset") or {}
    reset = f"reset {status.get('resets', 0)}"
    dated = [
        (meta["creationTimestamp"], "created", ""),
        (status.get("startedAt"), "operator began", ""),
        (status.get("readyAt"), "ready", "the agent is in the room"),
        (status.get("firstHumanAt"), "first human in", ""),
        (status.get("lastHumanLeftAt"), "last human out", status.get("lastHumanLeftReason") or ""),
        (last.get("startedAt"), f"{reset} began", last.get("cause", "")),
        (last.get("completedAt"), f"{reset} over", last.get("outcome", "")),
        (status.get("finishedAt"), "finished", status.get("endReason") or ""),
        *(moment for pod in pods for moment in _of_pod(pod)),
        *(moment for event in events for moment in _of_event(event, meta["uid"], reset if last else "")),
    ]
    found = [Moment(at, what, detail) for text, what, detail in dated if (at := unix(text)) is not None]
    return sorted(found, key=lambda moment: moment.at)


def rows(moments: list[Moment]) -> list[tuple[str, ...]]:
    """Time of day in UTC, since the session was created, since the line before, what happened."""
    table: list[tuple[str, ...]] = [("TIME", "SINCE CREATED", "SINCE PREVIOUS", "WHAT", "DETAIL")]
    for before, moment in zip([moments[0], *moments], moments, strict=False):
        since = (precise(moment.at - moments[0].at), precise(moment.at - before.at))
        table.append((clock(moment.at), *since, moment.what, moment.detail))
    return table


def render(moments: list[Moment]) -> list[Json]:
    return [{"at": rfc3339(moment.at), "what": moment.what, "detail": moment.detail or None} for moment in moments]


def _of_pod(pod: Json) -> list[tuple[str | None, str, str]]:
    meta, status = pod["metadata"], pod.get("status") or {}
    ready = [c for c in status.get("conditions") or () if c["type"] == "Ready" and c["status"] == "True"]
    states = [c.get("state", {}).get("running") or {} for c in status.get("containerStatuses") or ()]
    return [
        (meta["creationTimestamp"], "pod created", meta["name"]),
        *((state.get("startedAt"), "pod runs", meta["name"]) for state in states),
        *((c["lastTransitionTime"], "pod ready", meta["name"]) for c in ready),
    ]


def _of_event(event: Json, uid: str, reset: str) -> list[tuple[str | None, str, str]]:
    """Of this very session: an earlier one may have had its name. The latest reset is told by the status."""
    message = event.get("message", "")
    known = event["reason"] == "ResetComplete" and reset and message.lower().startswith(f"{reset} ")
    if event["involvedObject"].get("uid") != uid or event["reason"] in TOLD_BETTER or known:
        return []
    return [(event.get("lastTimestamp") or event.get("eventTime"), event["reason"], message)]
