"""`kubectl voice reset` and `end`: say it to the operator through the session, and wait until it is done."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from voicesession_cli import output as times
from voicesession_cli.arguments import End, Order, Reset
from voicesession_cli.errors import CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import Api
from voicesession_cli.output import precise, unix

Json = dict[str, Any]
REQUESTED_AT: Final = "voicesession.dev/reset-requested-at"
POLL_SECONDS: Final = 0.25
OUTCOME_OF_RESET: Final = "Complete"


def order(options: Reset | End) -> int:
    """Returns the exit code. Raises CommandError where it cannot be done, or not in time."""
    api = Api(options.context)
    what, place = api.session(options.session, options.namespace)
    before = api.get(what, place)
    if isinstance(options, End):
        return _end(api, options, what, place)
    if is_over(before):
        raise CommandError(f"{what} has finished: {_end_reason(before)}")
    return _reset(api, options, what, place, before)


def _reset(api: Api, options: Reset, what: str, place: str, before: Json) -> int:
    request = times.rfc3339(times.now())
    api.merge(what, place, {"metadata": {"annotations": {REQUESTED_AT: request}}})
    if not options.wait:
        return _tell(options, {"session": what.split()[1], "requestedAt": request}, f"{what}: a reset is requested")
    resets = (before.get("status") or {}).get("resets", 0)
    after = _wait(api, options, what, place, lambda raw: is_reset(raw, resets, request, what))
    last = after["status"]["lastReset"]
    seconds = (unix(last["completedAt"]) or 0.0) - (unix(last["startedAt"]) or 0.0)
    told = {"session": what.split()[1], "requestedAt": request, "resets": after["status"]["resets"], "lastReset": last}
    words = f"{what}: reset {told['resets']} ended as {last['outcome']} after {precise(seconds)}"
    code = _tell(options, told, words)
    return code if last["outcome"] == OUTCOME_OF_RESET else 1


def _end(api: Api, options: End, what: str, place: str) -> int:
    api.merge(what, place, {"spec": {"end": True}})
    if not options.wait:
        return _tell(options, {"session": what.split()[1]}, f"{what}: its end is requested")
    try:
        reason = _end_reason(_wait(api, options, what, place, is_over))
    except ObjectNotFoundError:
        reason = "Deleted"
    return _tell(options, {"session": what.split()[1], "endReason": reason}, f"{what} has finished: {reason}")


def is_over(raw: Json) -> bool:
    """Whether the session's condition Finished is True."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)


def is_reset(raw: Json, resets_before: int, request: str, what: str) -> bool:
    """Whether the requested reset, or one right after it, is over. Raises CommandError where it will never be."""
    status = raw.get("status") or {}
    last = status.get("lastReset") or {}
    if is_over(raw):
        raise CommandError(f"{what} has finished meanwhile: {_end_reason(raw)}")
    is_ours = last.get("request", request) == request
    return is_ours and status.get("resets", 0) > resets_before and last.get("completedAt") is not None


def _wait(api: Api, options: Order, what: str, place: str, done: Callable[[Json], bool]) -> Json:
    deadline = time.monotonic() + options.timeout
    while True:
        raw = api.get(what, place)
        if done(raw):
            return raw
        if time.monotonic() > deadline:
            raise CommandError(f"{what}: not done after {options.timeout:.0f} s")
        time.sleep(POLL_SECONDS)


def _end_reason(raw: Json) -> str:
    return (raw.get("status") or {}).get("endReason") or "Finished"


def _tell(options: Order, told: Json, words: str) -> int:
    print(json.dumps(told, indent=2) if options.json_output else words)
    return 0
