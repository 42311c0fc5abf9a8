"""`kubectl voice reset`, `end` and `forget`: change an object and wait until the operator has acted on it."""

import json
import secrets
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import FORGET_USER_ANNOTATION, RESET_REQUESTED_AT_ANNOTATION
from voicesession_common.api.reasons import ResetOutcome
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339

from voicesession_cli import output
from voicesession_cli.arguments import EndArguments, ForgetArguments, ResetArguments, WaitArguments, program_name
from voicesession_cli.errors import EXIT_PROBLEM, CommandError, ObjectNotFoundError
from voicesession_cli.kube_client import AGENTS, SESSIONS, KubeApi, path
from voicesession_cli.output import format_precise_duration

POLL_SECONDS: Final = 0.25


def reset_or_end(arguments: ResetArguments | EndArguments) -> int:
    """Run the command and return its exit code. Raises CommandError if it is impossible or takes too long."""
    api = KubeApi(arguments.context)
    label, path = api.session(arguments.session, arguments.namespace)
    before = api.get(label, path)
    if isinstance(arguments, EndArguments):
        return _end(api, arguments, label, path)
    if is_finished(before):
        raise CommandError(f"{label} has finished: {_end_reason(before)}")
    return _reset(api, arguments, label, path, before)


def _reset(api: KubeApi, arguments: ResetArguments, label: str, path: str, before: JsonObject) -> int:
    request = to_rfc3339(output.now())
    api.merge(label, path, {"metadata": {"annotations": {RESET_REQUESTED_AT_ANNOTATION: request}}})
    result: JsonObject = {"session": label.split()[1], "requestedAt": request}
    if not arguments.wait:
        _print(arguments, result, f"{label}: reset requested")
        return 0
    resets = (before.get("status") or {}).get("resets", 0)
    after = _wait(api, arguments, label, path, lambda raw: is_reset_complete(raw, resets, request, label))
    last = after["status"]["lastReset"]
    seconds = (from_rfc3339(last["completedAt"]) or 0.0) - (from_rfc3339(last["startedAt"]) or 0.0)
    result |= {"resets": after["status"]["resets"], "lastReset": last}
    duration = format_precise_duration(seconds)
    _print(arguments, result, f"{label}: reset {result['resets']} ended as {last['outcome']} after {duration}")
    return 0 if last["outcome"] == ResetOutcome.COMPLETE else EXIT_PROBLEM


def _end(api: KubeApi, arguments: EndArguments, label: str, path: str) -> int:
    api.merge(label, path, {"spec": {"end": True}})
    result: JsonObject = {"session": label.split()[1]}
    if not arguments.wait:
        _print(arguments, result, f"{label}: end requested")
        return 0
    try:
        reason = _end_reason(_wait(api, arguments, label, path, is_finished))
    except ObjectNotFoundError:
        reason = "Deleted"
    _print(arguments, result | {"endReason": reason}, f"{label} has finished: {reason}")
    return 0


def is_finished(raw: JsonObject) -> bool:
    """Return whether the session's condition Finished is True."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)


def is_reset_complete(raw: JsonObject, resets_before: int, request: str, label: str) -> bool:
    """Return whether the requested reset, or one right after it, has ended.

    Raises CommandError if the session has finished instead.
    """
    status = raw.get("status") or {}
    last = status.get("lastReset") or {}
    if is_finished(raw):
        raise CommandError(f"{label} has finished meanwhile: {_end_reason(raw)}")
    is_requested = last.get("request", request) == request
    return is_requested and status.get("resets", 0) > resets_before and last.get("completedAt") is not None


def _wait(
    api: KubeApi, arguments: WaitArguments, label: str, path: str, is_done: Callable[[JsonObject], bool]
) -> JsonObject:
    deadline = monotonic() + arguments.timeout
    while True:
        raw = api.get(label, path)
        if is_done(raw):
            return raw
        if monotonic() > deadline:
            raise CommandError(f"{label}: not done after {arguments.timeout:.0f} s")
        sleep(POLL_SECONDS)


def _end_reason(raw: JsonObject) -> str:
    return (raw.get("status") or {}).get("endReason") or "Finished"


def forget(arguments: ForgetArguments) -> int:
    """Have the operator delete the memory of a user, and return the exit code. Raises CommandError.

    Each VoiceAgent gets an annotation of its own, so that two requests at the same time do not replace each other.
    """
    api = KubeApi(arguments.context)
    namespace = arguments.namespace or api.namespace
    agents = _agents(api, arguments.agent, namespace)
    _refuse_live_session(api, arguments.user, agents, namespace)
    request, deadline = secrets.token_hex(8), monotonic() + arguments.timeout
    patch = {"metadata": {"annotations": {FORGET_USER_ANNOTATION + request: arguments.user}}}
    for name in agents:
        api.merge(f"voiceagent {namespace}/{name}", path(AGENTS, namespace, name), patch)
    answers = [_wait_for_answer(api, namespace, name, request, deadline) for name in agents]
    removed = sum(answer.get("removed", 0) for answer in answers)
    problems = {name: answer["problem"] for name, answer in zip(agents, answers, strict=True) if answer.get("problem")}
    if problems:
        details = "; ".join(f"voiceagent {namespace}/{name}: {text}" for name, text in problems.items())
        raise CommandError(f"Letta agents removed: {removed}, but {details}")
    result: JsonObject = {"user": arguments.user, "voiceAgents": list(agents), "removed": removed}
    print(json.dumps(result, indent=2) if arguments.json_output else f"Letta agents removed: {removed}")
    return 0


def _agents(api: KubeApi, name: str | None, namespace: str) -> tuple[str, ...]:
    """Return the VoiceAgents: the named one, or those of the namespace with a memory."""
    if name is not None:
        api.get(f"voiceagent {namespace}/{name}", path(AGENTS, namespace, name))
        return (name,)
    found = api.items("voiceagents", path(AGENTS, namespace))
    names = tuple(raw["metadata"]["name"] for raw in found if raw["spec"].get("memory", {}).get("letta") is not None)
    if not names:
        raise CommandError(f"no voiceagent in {namespace} has a memory")
    return names


def _refuse_live_session(api: KubeApi, user: str, agents: tuple[str, ...], namespace: str) -> None:
    """Raise CommandError if the user has a live session, which would write to the memory."""
    for raw in api.items("voicesessions", path(SESSIONS, namespace)):
        spec, name = raw["spec"], raw["metadata"]["name"]
        if spec.get("user") == user and spec["agentRef"]["name"] in agents and not is_finished(raw):
            advice = f"end it first: {program_name()} end {name} --namespace {namespace}"
            raise CommandError(f"voicesession {namespace}/{name} of this user is live; {advice}")


def _wait_for_answer(api: KubeApi, namespace: str, name: str, request: str, deadline: float) -> JsonObject:
    """Return the operator's answer to a request to forget a user. Raises CommandError at the deadline."""
    label = f"voiceagent {namespace}/{name}"
    while True:
        status = api.get(label, path(AGENTS, namespace, name)).get("status") or {}
        for answer in status.get("forgotten") or ():
            if answer["request"] == request:
                return dict(answer)
        if monotonic() > deadline:
            raise CommandError(f"{label}: no answer in time; the request stays until the operator reaches Letta")
        sleep(POLL_SECONDS)


def _print(arguments: WaitArguments, result: JsonObject, text: str) -> None:
    print(json.dumps(result, indent=2) if arguments.json_output else text)
