"""`kubectl voice logs NAME`: what agent and operator have written about one session."""

import json
import time
from typing import Any, Final

from voicesession_cli.api import PODS, SESSION_UID, Api, path
from voicesession_cli.errors import CommandError, NotFoundError
from voicesession_cli.journal import Entry, entries, merge
from voicesession_cli.options import Logs
from voicesession_cli.sight import Sight

Json = dict[str, Any]
OPERATORS: Final = "app.kubernetes.io/component=operator,app.kubernetes.io/name=voicesession"
FOLLOW_SECONDS: Final = 1.0


def logs(options: Logs) -> int:
    """Returns the exit code. Raises CommandError. Followed logs are read again each second, whole pods at a time."""
    api = Api(options.context)
    what, place = api.session(options.session, options.namespace)
    sight, told = Sight.of(api.get(what, place)), set[Entry]()
    while True:
        found = _journal(api, sight, options.operator_namespace or "")
        for entry in found:
            if entry not in told:
                print(json.dumps(entry.render()) if options.json_output else entry.line(), flush=True)
        told.update(found)
        if not options.follow or sight.is_finished:
            return 0
        time.sleep(FOLLOW_SECONDS)
        try:
            sight = Sight.of(api.get(what, place))
        except NotFoundError:
            return 0


def _journal(api: Api, sight: Sight, operator_namespace: str) -> list[Entry]:
    selector = f"{SESSION_UID}={sight.uid}"
    agents = api.items("agent pods", path(PODS, sight.namespace), labelSelector=selector)
    operators = api.items("operator pods", path(PODS, operator_namespace), labelSelector=OPERATORS)
    names = {pod["metadata"]["name"] for pod in agents}
    marks = frozenset({sight.uid, f"{sight.namespace}/{sight.name}", sight.room, sight.pod, *names} - {""})
    return merge(
        [_of_pod(api, "agent", pod) for pod in agents], [_of_pod(api, "operator", pod) for pod in operators], marks
    )


def _of_pod(api: Api, source: str, pod: Json) -> list[Entry]:
    """Nothing of a pod that is gone by now, or has no log yet; what ran before a restart comes first."""
    meta, found = pod["metadata"], list[Entry]()
    restarted = any(c.get("restartCount") for c in (pod.get("status") or {}).get("containerStatuses") or ())
    for previous in ("true", "false") if restarted else ("false",):
        place, query = path(PODS, meta["namespace"], meta["name"], "log"), {"timestamps": "true", "previous": previous}
        try:
            found += entries(source, meta["name"], api.lines(f"the log of {meta['name']}", place, **query))
        except CommandError:
            continue
    return found
