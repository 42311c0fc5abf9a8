"""Load an unchanged livekit-agents entry point by its name, `package.module:function`, with its own prewarm."""

import functools
import importlib
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from voicesession_agent.livekit_internals import registered_entrypoint, registered_session_end, request_function

Entry = Callable[[Any], Coroutine[Any, Any, None]]
Prewarm = Callable[[Any], Any]
SessionEnd = Callable[[Any], Coroutine[Any, Any, None]]


class EntrypointError(Exception):
    """The entry point cannot be run; the message explains the reason to the author of the VoiceAgent."""


class JobRejectedError(Exception):
    """The agent's own `on_request` did not accept the session's job."""


class ProgramExitError(Exception):
    """The entry point called sys.exit, which would end the job without its reports."""


@dataclass(frozen=True)
class Entrypoint:
    """The functions that livekit-agents calls in a job process."""

    run: Entry
    prewarm: Prewarm | None
    session_end: SessionEnd | None = None


def load(name: str) -> Entrypoint:
    """Import the entry point `name`, or raise EntrypointError.

    Its prewarm is the setup function of its AgentServer, else the module's `prewarm`.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise EntrypointError(f'entrypoint "{name}": not of the form package.module:function')
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:  # a module may call sys.exit
        raise EntrypointError(f'entrypoint "{name}": {describe(error)}') from error
    target = getattr(module, attribute, None)
    if target is None:
        raise EntrypointError(f'entrypoint "{name}": module {module_name} has no {attribute}')
    return _resolve(name, module, target)


def _resolve(name: str, module: ModuleType, target: Any) -> Entrypoint:
    server = target if _is_server(target) else _find_server(module, target)
    run = registered_entrypoint(server) if _is_server(target) else target
    if not inspect.iscoroutinefunction(run):
        raise EntrypointError(f'entrypoint "{name}": not an async function')
    prewarm = getattr(server, "setup_fnc", None) or getattr(module, "prewarm", None)
    on_request = None if server is None else request_function(server)
    session_end = None if server is None else registered_session_end(server)
    return Entrypoint(_as_job(run, on_request), prewarm if callable(prewarm) else None, session_end)


def _as_job(run: Entry, on_request: Callable[[Any], Coroutine[Any, Any, None]] | None) -> Entry:
    """Return the entry point of a job: it asks `on_request` first, and its sys.exit does not pass the event loop."""

    @functools.wraps(run)
    async def run_job(ctx: Any) -> None:
        try:
            if on_request is not None:
                await _request(ctx.job, on_request)
            await run(ctx)
        except SystemExit as error:
            raise ProgramExitError(describe(error)) from error

    return run_job


async def _request(job: Any, on_request: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    """Offer the job as AgentServer does. Raise JobRejectedError without an acceptance, because no other agent exists.

    The name and identity in an acceptance change nothing: the operator's token has them.
    """
    from livekit.agents import JobRequest  # noqa: PLC0415 - only job processes import livekit-agents

    answers: list[bool] = []

    async def accept(_: object) -> None:
        answers.append(True)

    async def reject(_: object) -> None:
        answers.append(False)

    await on_request(JobRequest(job=job, on_reject=reject, on_accept=accept))
    if answers != [True]:
        raise JobRejectedError("on_request did not accept the job")


def _find_server(module: ModuleType, function: Any) -> Any:
    """Return the AgentServer of `module` with which `function` is registered, or None."""
    servers = (value for value in vars(module).values() if _is_server(value))
    return next((server for server in servers if registered_entrypoint(server) is function), None)


def _is_server(value: Any) -> bool:
    from livekit.agents import AgentServer  # noqa: PLC0415 - only job processes import livekit-agents

    return isinstance(value, AgentServer)


def describe(error: BaseException) -> str:
    """Return the error's text for the author of the VoiceAgent; an expected error needs no type name."""
    if isinstance(error, SystemExit):
        return f"the program called sys.exit: {error}"
    is_expected = isinstance(error, EntrypointError | ImportError)
    return str(error) if is_expected else f"{type(error).__name__}: {error}"
