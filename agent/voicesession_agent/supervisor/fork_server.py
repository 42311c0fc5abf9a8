"""The fork server of the jobs, forked from this process, so that all processes of a pod share the imported modules.

multiprocessing would start another interpreter for it, which imports everything again. This module is the only one that
uses private names of multiprocessing; tests/contract/test_fork_server.py runs it with the installed Python.
"""

import importlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection, forkserver, resource_tracker
from typing import Any, Final, NoReturn

from voicesession_agent import livekit_internals
from voicesession_agent.settings import AgentSpec

EMBEDDED: Final = ("moonshine", "pico")


def preload_modules(agent: AgentSpec) -> list[str]:
    """Return the modules that are imported once for all jobs, without a user's module: it may start threads."""
    modules = ["livekit.agents", "anyio._backends._asyncio", "voicesession_agent.job.main"]
    if agent.entrypoint:
        return modules
    modules += ["voicesession_agent.assistant.assistant", "numpy.fft", "jiter"]
    providers = {agent.stt.name, agent.llm.name, agent.tts.name}
    if "openai" in providers:
        modules.append("livekit.plugins.openai")
    return modules + [f"voicesession_agent.speech.{name}" for name in EMBEDDED if name in providers]


def start(modules: Sequence[str]) -> None:
    """Import the modules, and fork the fork server of multiprocessing.

    Must be called before this process has threads, an event loop, and handlers of signals or of logs: jobs inherit its
    state. The last of the warm-up modules freezes all objects, because a collection would write into the shared pages.
    If the fork server ends, multiprocessing starts one of its own, which imports the same modules.
    """
    names = [*modules, *livekit_internals.WARM_UP_MODULES]
    multiprocessing.set_forkserver_preload(names)
    for name in names:
        with suppress(ImportError):  # a job that needs the module reports the error
            importlib.import_module(name)
    _fork_resource_tracker()
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    os.chmod(address, 0o600)
    listener.listen()
    alive_read, alive_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(alive_write)
        _serve(listener.detach(), alive_read)
    listener.close()
    os.close(alive_read)
    server: Any = forkserver._forkserver
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, alive_write, pid


def _fork_resource_tracker() -> None:
    """Fork the process that removes the semaphores of ended jobs; multiprocessing would start an interpreter for it."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        resource_tracker.main(read)
        os._exit(0)
    os.close(read)
    tracker: Any = resource_tracker._resource_tracker
    tracker._fd, tracker._pid = write, pid


def _serve(listener: int, alive: int) -> NoReturn:
    """Fork jobs until all processes that may ask for one have ended."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        forkserver.main(listener, alive, [])
    except SystemExit:
        code = 0
    finally:
        os._exit(code)
