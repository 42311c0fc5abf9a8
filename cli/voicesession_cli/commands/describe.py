"""`kubectl voice describe NAME`: the state of a session, and its life so far."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli import output as times
from voicesession_cli.arguments import Describe
from voicesession_cli.kube_client import EVENTS, PODS, SESSION_UID, SESSIONS, Api, path
from voicesession_cli.output import clock, columns, precise, rfc3339, unix
from voicesession_cli.session_row import HEADER, Sight

Json = dict[str, Any]
Dated = tuple[str | None, str, str]
"""A timestamp or nothing, what happened then, and a detail."""
TOLD_BETTER: Final = frozenset({"Ready", "Finished"})
"""Reasons of events of what the status tells, too."""
WORDS: Final = {"HumanJoined": "human in", "HumanLeft": "human out", "ResetComplete": "reset over"}
"""For reasons of events that are ordinary steps; all others stand as they are."""
AT: Final = "voicesession.dev/at"
STEPS: Final = {
    "voicesession.dev/pod-created-at": "pod created",
    "voicesession.dev/bound-at": "bound",
    "voicesession.dev/joined-at": "joined",
}
"""Annotations of the event Ready."""


@dataclass(frozen=True)
class Moment:
    at: float
    what: str
    detail: str = ""


def timeline(session: Json, pods: Iterable[Json], events: Iterable[Json]) -> list[Moment]:
    """In order of time; what Kubernetes tells to the second only stands where that second begins.

    Kubernetes forgets events, as a rule after an hour: of what is older only the status is left.
    """
    status = session.get("status") or {}
    own = [event for event in events if event["involvedObject"].get("uid") == session["metadata"]["uid"]]
    # Of the same moment the cause comes first: she left, and so a reset began.
    dated = [
        (session["metadata"]["creationTimestamp"], "created", ""),
        *(moment for pod in pods for moment in _of_pod(pod)),
        *(moment for event in own for moment in _steps(event)),
        *(_of_event(event) for event in own if not _is_told_better(event, status)),
        *_of_status(status),
    ]
    found: dict[tuple[float, str], Moment] = {}
    for text, what, detail in dated:
        if (at := unix(text)) is not None:
            found.setdefault((at, what), Moment(at, what, detail))
    return sorted(found.values(), key=lambda moment: moment.at)


def rows(moments: list[Moment]) -> list[tuple[str, ...]]:
    """Time of day in UTC, since the session was created, since the line before, what happened."""
    table: list[tuple[str, ...]] = [("TIME", "SINCE CREATED", "SINCE PREVIOUS", "WHAT", "DETAIL")]
    for before, moment in zip([moments[0], *moments], moments, strict=False):
        since = (precise(moment.at - moments[0].at), precise(moment.at - before.at))
        table.append((clock(moment.at), *since, moment.what, moment.detail))
    return table


def render(moments: list[Moment]) -> list[Json]:
    return [{"at": rfc3339(moment.at), "what": moment.what, "detail": moment.detail or None} for moment in moments]


def _of_status(status: Json) -> list[Dated]:
    return [
        (status.get("startedAt"), "operator began", ""),
        (status.get("readyAt"), "ready", "the agent is in the room"),
        (status.get("firstHumanAt"), "first human in", ""),
        (status.get("lastHumanLeftAt"), "last human out", status.get("lastHumanLeftReason") or ""),
        *_of_reset(f"reset {status.get('resets', 0)}", status.get("lastReset") or {}),
        (status.get("finishedAt"), "finished", status.get("endReason") or ""),
    ]


def _of_reset(name: str, last: Json) -> Iterator[Dated]:
    began, over = unix(last.get("startedAt")), unix(last.get("completedAt"))
    yield last.get("startedAt"), f"{name} began", last.get("cause", "")
    if began is not None and over is not None:
        yield last["completedAt"], f"{name} over", f"{last.get('outcome', '')} after {precise(over - began)}"


def _of_pod(pod: Json) -> list[Dated]:
    meta, status = pod["metadata"], pod.get("status") or {}
    ready = [c for c in status.get("conditions") or () if c["type"] == "Ready" and c["status"] == "True"]
    states = [c.get("state", {}).get("running") or {} for c in status.get("containerStatuses") or ()]
    return [
        (meta["creationTimestamp"], "pod created", meta["name"]),
        *((state.get("startedAt"), "pod runs", meta["name"]) for state in states),
        *((c["lastTransitionTime"], "pod ready", meta["name"]) for c in ready),
    ]


def _steps(event: Json) -> list[Dated]:
    annotations = event["metadata"].get("annotations") or {}
    return [(annotations.get(name), what, "") for name, what in STEPS.items()]


def _of_event(event: Json) -> Dated:
    reason: str = event["reason"]
    return _at(event), WORDS.get(reason, reason), event.get("message", "")


def _is_told_better(event: Json, status: Json) -> bool:
    """Whether the status tells the same: of several visits the first and the last one, of resets the last one."""
    at = unix(_at(event)) or 0.0
    left_at = unix(status.get("lastHumanLeftAt"))
    match event["reason"]:
        case "HumanJoined":
            return at == unix(status.get("firstHumanAt"))
        case "HumanLeft":
            return left_at is not None and at >= left_at
        case "ResetComplete":
            return bool(status.get("lastReset")) and event.get("message", "").startswith(f"Reset {status['resets']} ")
    return event["reason"] in TOLD_BETTER


def _at(event: Json) -> str | None:
    annotations = event["metadata"].get("annotations") or {}
    return annotations.get(AT) or event.get("lastTimestamp") or event.get("eventTime")


def describe(options: Describe) -> int:
    """Returns the exit code. Raises CommandError."""
    api = Api(options.context)
    namespace = options.namespace or api.namespace
    what = f"voicesession {namespace}/{options.session}"
    raw = api.get(what, path(SESSIONS, namespace, options.session))
    sight, now = Sight.of(raw), times.now()
    pods = api.items("agent pods", path(PODS, namespace), labelSelector=f"{SESSION_UID}={sight.uid}")
    about = f"involvedObject.name={sight.name},involvedObject.kind=VoiceSession"
    moments = timeline(raw, pods, api.items("events", path(EVENTS, namespace), fieldSelector=about))
    conditions = (raw.get("status") or {}).get("conditions") or []
    if options.json_output:
        print(json.dumps({**sight.render(now), "conditions": conditions, "timeline": render(moments)}, indent=2))
        return 0
    pairs = [("NAMESPACE", namespace), *zip(HEADER, sight.row(now), strict=True)]
    print(*columns(pairs), "", *columns(_conditions(conditions)), "", *columns(rows(moments)), sep="\n")
    return 0


def _conditions(conditions: list[Json]) -> list[tuple[str, ...]]:
    found = [(c["type"], c["status"], c.get("reason", ""), c.get("message", "")) for c in conditions]
    return [("CONDITION", "STATUS", "REASON", "MESSAGE"), *found]
