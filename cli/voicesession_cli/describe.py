"""`kubectl voice describe NAME`: the state of a session, and its life so far."""

import json
from typing import Any

from voicesession_cli import times
from voicesession_cli.api import EVENTS, PODS, SESSION_UID, SESSIONS, Api, path
from voicesession_cli.options import Describe
from voicesession_cli.sight import HEADER, Sight
from voicesession_cli.table import columns
from voicesession_cli.timeline import render, rows, timeline

Json = dict[str, Any]


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
