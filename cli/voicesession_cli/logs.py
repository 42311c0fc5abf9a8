"""`kubectl voice logs NAME`: what agent and operator have written about one session."""

import json
import sys
import time
from typing import Any, Final

from voicesession_cli import operators
from voicesession_cli.api import PODS, SESSION_UID, Api, path
from voicesession_cli.errors import TROUBLE, NotFoundError
from voicesession_cli.journal import Entry, merge
from voicesession_cli.options import Logs
from voicesession_cli.sight import Sight
from voicesession_cli.tail import Tail

Json = dict[str, Any]
FOLLOW_SECONDS: Final = 1.0


def logs(options: Logs) -> int:
    """Returns the exit code: 1 where a pod could not be read. Raises CommandError."""
    api = Api(options.context)
    what, place = api.session(options.session, options.namespace)
    sight, tail, complaint = Sight.of(api.get(what, place)), Tail(api), ""
    while True:
        tail.trouble = None
        for entry in tail.news(_journal(api, tail, sight, options.operator_namespace or "")):
            print(json.dumps(entry.render()) if options.json_output else entry.line(), flush=True)
        complaint = _complain(tail, complaint)
        if not options.follow or sight.is_finished:
            return TROUBLE if complaint else 0
        time.sleep(FOLLOW_SECONDS)
        try:
            sight = Sight.of(api.get(what, place))
        except NotFoundError:
            return 0


def _complain(tail: Tail, before: str) -> str:
    """What is wrong with this round, and said unless it was wrong with the one before."""
    now = str(tail.trouble or "")
    if now and now != before:
        print(now, file=sys.stderr, flush=True)
    return now


def _journal(api: Api, tail: Tail, sight: Sight, operator_namespace: str) -> list[Entry]:
    selector = f"{SESSION_UID}={sight.uid}"
    agents = api.items("agent pods", path(PODS, sight.namespace), labelSelector=selector)
    labelled = api.items("operator pods", path(PODS, operator_namespace), labelSelector=operators.SELECTOR)
    ours = [pod for pod in labelled if operators.is_operator(pod["spec"])]
    names = {pod["metadata"]["name"] for pod in agents}
    marks = frozenset({sight.uid, f"{sight.namespace}/{sight.name}", sight.room, sight.pod, *names} - {""})
    return merge([tail.read("agent", pod) for pod in agents], [tail.read("operator", pod) for pod in ours], marks)
