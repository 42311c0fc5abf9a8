"""Finding a livekit-agents entry point by name: `package.module:function`, unchanged, with its own prewarm."""

import importlib
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Entry = Callable[[Any], Coroutine[Any, Any, None]]
Prewarm = Callable[[Any], Any]


class EntrypointError(Exception):
    """It cannot be run; the message says why in words for the person who wrote the name."""


@dataclass(frozen=True)
class Entrypoint:
    run: Entry
    prewarm: Prewarm | None


def load(name: str) -> Entrypoint:
    """Import `name`; its prewarm is its AgentServer's setup function or the module's. Raise EntrypointError."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise EntrypointError(f'entrypoint "{name}": not of the form package.module:function')
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise EntrypointError(f'entrypoint "{name}": {_told(error)}') from error
    target = getattr(module, attribute, None)
    if target is None:
        raise EntrypointError(f'entrypoint "{name}": module {module_name} has no {attribute}')
    return _resolve(name, module, target)


def _resolve(name: str, module: ModuleType, target: Any) -> Entrypoint:
    server = target if _is_server(target) else _server_of(module, target)
    run = server._entrypoint_fnc if _is_server(target) else target
    if not inspect.iscoroutinefunction(run):
        raise EntrypointError(f'entrypoint "{name}": not an async function')
    prewarm = getattr(server, "setup_fnc", None) or getattr(module, "prewarm", None)
    return Entrypoint(run, prewarm if callable(prewarm) else None)


def _server_of(module: ModuleType, function: Any) -> Any:
    """The AgentServer in `module` that `function` is registered with, if there is one."""
    servers = (value for value in vars(module).values() if _is_server(value))
    return next((server for server in servers if server._entrypoint_fnc is function), None)


def _is_server(value: Any) -> bool:
    from livekit.agents import AgentServer  # noqa: PLC0415 - job processes have it; the supervisor never comes here

    return isinstance(value, AgentServer)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
