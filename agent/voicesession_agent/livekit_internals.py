"""Every private name of livekit-agents that this package uses; no other module uses one.

The names were read in livekit-agents VERSION. tests/contract/test_livekit_internals.py compares each of them with the
installed package, so that an upgrade fails there first. The fork server's module imports this one before it imports
livekit-agents, so livekit-agents is imported only inside functions. The contract test also covers the methods of
providers (`_run`, `_recognize_impl`) and the public `Room.connect`.
"""

import asyncio
import importlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livekit import rtc
    from livekit.agents import AgentServer, AgentSession, llm
    from livekit.agents.ipc.inference_proc_executor import InferenceProcExecutor
    from livekit.agents.ipc.job_proc_executor import ProcJobExecutor
    from livekit.agents.ipc.proc_pool import ProcPool

VERSION: Final = "1.8.9"
"""Version of livekit-agents in which these names were read, and the version that pyproject.toml pins."""
WARM_UP_MODULES: Final = ("livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze")
"""Modules that AgentServer adds to the fork server, in this order. Without them each job starts 0.5 to 1 s later."""
LOAD_SECONDS: Final = 300.0
"""Time to load the models of the runners; AgentServer grants the same."""
RETRY_SECONDS: Final = 30.0
"""Time for which the failed start of an inference process stands, so that no turn of a conversation starts another."""
log = logging.getLogger(__name__)


def process_pool(server: "AgentServer") -> "ProcPool":
    """Return the process pool of a running server, `AgentServer._proc_pool`, which exists once `run` has begun.

    There is no public access to the process of a job. The pool's `launch_job`, `processes` and
    `set_target_idle_processes` are used, and of each process `running_job`, `pid` and `join`.
    """
    return server._proc_pool


def ignore_job_status(server: "AgentServer") -> None:
    """Replace `AgentServer._update_job_status`, which queues each change of a job for LiveKit.

    The queue has no reader in a server that is not registered: it would keep the first 64 jobs, and a task for each
    later one.
    """
    server._update_job_status = _ignore_status  # type: ignore[method-assign]


def kill_process(executor: "ProcJobExecutor") -> None:
    """Send SIGKILL to a job's process, `SupervisedProc._proc`. A process that has exited is no error.

    The executor's own `kill` first waits half a second for a stack dump. `_kill_sent` marks the exit as intended.
    """
    executor._kill_sent = True
    with suppress(ValueError):  # already joined and closed
        executor._proc.kill()


def registered_entrypoint(server: "AgentServer") -> Any:
    """Return the function given to `AgentServer.rtc_session`, `AgentServer._entrypoint_fnc`, or None."""
    return server._entrypoint_fnc


def registered_session_end(server: "AgentServer") -> Any:
    """Return the `on_session_end` given to `AgentServer.rtc_session`, `AgentServer._session_end_fnc`, or None."""
    return server._session_end_fnc


def request_function(server: "AgentServer") -> Any:
    """Return the `on_request` given to `AgentServer.rtc_session`, `AgentServer._request_fnc`, or None."""
    return server._request_fnc


def registered_runners() -> list[str]:
    """Return the inference runners that the modules of this process have registered, each as `module:class`.

    A plug-in such as livekit-plugins-turn-detector registers its class with `_InferenceRunner` when it is imported.
    """
    from livekit.agents.inference_runner import _InferenceRunner  # noqa: PLC0415 - only jobs import livekit-agents

    return [f"{runner.__module__}:{runner.__qualname__}" for runner in _InferenceRunner.registered_runners.values()]


class RunnerReferences:
    """Inference runners by name, pickled as their classes, so that the supervisor imports no module of a user."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def __reduce__(self) -> tuple[Callable[..., dict[str, Any]], tuple[tuple[str, ...]]]:
        return _import_runners, (self._names,)


def _import_runners(names: Sequence[str]) -> dict[str, Any]:
    """Return the classes by their INFERENCE_METHOD, as `InferenceProcExecutor` expects them."""
    split = [name.partition(":") for name in names]
    runners = [reduce(getattr, name.split("."), importlib.import_module(module)) for module, _, name in split]
    return {runner.INFERENCE_METHOD: runner for runner in runners}


class SharedInference:
    """The process in which the jobs of a pod run their inference runners, and the pool's inference executor.

    AgentServer starts such a process for the runners in its own process, which never imports a module of a user. This
    one starts when a job's process has reported runners, and again after it died; other agents have none.
    """

    def __init__(self, server: "AgentServer") -> None:
        """Serve the pool of a running server, `ProcPool._inf_executor`."""
        self._server = server
        self._runners: tuple[str, ...] = ()
        self._started: asyncio.Task[InferenceProcExecutor] | None = None
        self._failed_at = 0.0
        process_pool(server)._inf_executor = self

    def start(self, runners: Sequence[str]) -> None:
        """Load the runners now, so that the first turn of a conversation does not wait for their models."""
        self._runners = tuple(runners)
        if self._runners and not self._is_serving():
            self._started = asyncio.create_task(self._start())
            self._started.add_done_callback(lambda start: start.cancelled() or start.exception())

    async def do_inference(self, method: str, data: bytes) -> bytes | None:
        """Return the runner's answer. Raise RuntimeError if it fails or is unknown; the job gets the error's text."""
        self.start(self._runners)
        if self._started is None:
            raise RuntimeError("the agent's module registers no inference runner when it is imported")
        executor = await asyncio.shield(self._started)
        return await executor.do_inference(method, data)

    async def close(self) -> None:
        """Kill the process."""
        if self._started is None:
            return
        self._started.cancel()
        (executor,) = await asyncio.gather(self._started, return_exceptions=True)
        if not isinstance(executor, BaseException):
            await executor.kill()

    def _is_serving(self) -> bool:
        """Return True if the process runs or is starting, or if its start has just failed."""
        if self._started is None:
            return False
        if not self._started.done():
            return True
        if self._started.cancelled() or self._started.exception() is not None:
            return asyncio.get_running_loop().time() < self._failed_at + RETRY_SECONDS
        return self._started.result().is_alive()

    async def _start(self) -> "InferenceProcExecutor":
        executor = self._new_executor()
        try:
            await executor.start()
            await executor.initialize()
        except BaseException as error:
            self._failed_at = asyncio.get_running_loop().time()
            log.error("the inference process did not start", extra={"event": "inference_failed"})
            with suppress(RuntimeError):
                await executor.kill()
            if isinstance(error, Exception):
                raise RuntimeError("the inference process did not start") from error
            raise
        return executor

    def _new_executor(self) -> "InferenceProcExecutor":
        """Return an executor with the values of `AgentServer.run`."""
        from livekit.agents.ipc.inference_proc_executor import InferenceProcExecutor  # noqa: PLC0415 - as above

        return InferenceProcExecutor(
            runners=RunnerReferences(self._runners),  # type: ignore[arg-type]
            initialize_timeout=LOAD_SECONDS,
            close_timeout=5,
            memory_warn_mb=2000,
            memory_limit_mb=0,
            ping_interval=5,
            ping_timeout=60,
            high_ping_threshold=2.5,
            mp_ctx=self._server._mp_ctx,
            loop=asyncio.get_running_loop(),
            http_proxy=self._server._http_proxy or None,
        )


def running_tools() -> "dict[asyncio.Task[Any], bool]":
    """Return the tasks in `_RunningTasks`, each with false if its tool called `RunContext.disallow_interruptions`.

    A session cancels none of them, and waits for all when it closes.
    """
    from livekit.agents.voice.tool_executor import _RunningTasks  # noqa: PLC0415 - only jobs import livekit-agents

    running = (tool for tools in _RunningTasks.values() for tool in tools.values())
    return {tool.exe_task: tool.ctx.speech_handle.allow_interruptions for tool in running}


def replace_instructions(context: "llm.ChatContext", instructions: str) -> None:
    """Replace the instructions in the context of a turn that has begun, or add them.

    `Agent.update_instructions` changes the agent's own context, and not its copy for the turn.
    """
    from livekit.agents.voice.generation import update_instructions  # noqa: PLC0415 - only jobs import livekit-agents

    update_instructions(context, instructions=instructions, add_if_missing=True)


def forget_old_events(session: "AgentSession[Any]", count: int) -> None:
    """Keep only the newest events of a started session in `AgentSession._recorded_events`.

    Each event keeps the objects of its turn alive, about 100 KiB in a spoken conversation. Only the session's report
    uses the events.
    """
    session._recorded_events = deque(session._recorded_events, maxlen=count)  # type: ignore[assignment]


def keep_sessions_open(room: "rtc.Room") -> None:
    """Let no session of this room close because its participant left, for the rest of this process.

    Each RoomIO of the room starts with `close_on_disconnect` off in `RoomIO._options`. A session in another room, such
    as the consultation of a warm transfer, keeps its own value.
    """
    from livekit.agents.voice.room_io import RoomIO  # noqa: PLC0415 - only jobs import livekit-agents

    start = RoomIO.start

    async def start_open(room_io: RoomIO, **options: Any) -> None:
        if room_io.room is room:
            room_io._options.close_on_disconnect = False
        await start(room_io, **options)

    RoomIO.start = start_open  # type: ignore[assignment, method-assign]


def watch_own_end(
    room: "rtc.Room", find_session: Callable[[], Any], end: Callable[[str], None], delete_room: Callable[[], None]
) -> None:
    """Report that the agent ends its session through livekit-agents or livekit-api, for the rest of this process.

    `end` is called when the session that `find_session` returns has closed after its own `AgentSession.shutdown`, which
    lets it finish its speech. `delete_room` replaces the request of `RoomService.delete_room` for this room, which
    needs a grant for all rooms; `JobContext.delete_room` uses it too. Both are public, and are replaced in their
    classes because user code makes its own objects.
    """
    from livekit.agents import AgentSession  # noqa: PLC0415 - only jobs import livekit-agents
    from livekit.api import DeleteRoomRequest, DeleteRoomResponse  # noqa: PLC0415
    from livekit.api.room_service import RoomService  # noqa: PLC0415

    shutdown, send = AgentSession.shutdown, RoomService.delete_room

    def watched_shutdown(session: "AgentSession[Any]", *, drain: bool = True) -> None:
        if session is find_session():
            session.once("close", lambda _: end("the session was shut down"))
        shutdown(session, drain=drain)

    async def watched_delete(service: RoomService, delete: DeleteRoomRequest) -> DeleteRoomResponse:
        if delete.room != room.name:
            return await send(service, delete)
        delete_room()
        return DeleteRoomResponse()

    AgentSession.shutdown = watched_shutdown  # type: ignore[assignment, method-assign]
    RoomService.delete_room = watched_delete  # type: ignore[assignment, method-assign]


def hear_unnamed_microphones() -> None:
    """Let the sessions of this process hear audio tracks that were published without a source.

    RoomIO's `_ParticipantAudioInputStream` accepts the source `microphone` in `_accepted_sources`, but clients may name
    no source. The stream does not look at the kind of a track. A microphone with a name takes precedence.
    """
    from livekit import rtc  # noqa: PLC0415 - only jobs import livekit-agents
    from livekit.agents.voice.room_io._input import _ParticipantAudioInputStream  # noqa: PLC0415

    hear_named = _ParticipantAudioInputStream._on_track_available
    unnamed, microphone = rtc.TrackSource.SOURCE_UNKNOWN, rtc.TrackSource.SOURCE_MICROPHONE

    def hear(
        stream: _ParticipantAudioInputStream,
        track: rtc.RemoteTrack,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> bool:
        has_named = any(p.track and p.source == microphone for p in participant.track_publications.values())
        is_audio = track.kind == rtc.TrackKind.KIND_AUDIO
        named = stream._accepted_sources
        stream._accepted_sources = named | {unnamed} if is_audio and not has_named else named - {unnamed}
        return hear_named(stream, track, publication, participant)

    _ParticipantAudioInputStream._on_track_available = hear  # type: ignore[method-assign, assignment]


async def _ignore_status(proc: object) -> None:
    """Ignore the job's status; the supervisor observes it directly."""
