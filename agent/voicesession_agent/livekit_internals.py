"""Every private name of livekit-agents that this package uses; no other module uses one.

The names were read in livekit-agents VERSION. tests/contract/test_livekit_internals.py compares each of them with the
installed package, so that an upgrade fails there first. The supervisor imports this module before its control port
answers, so livekit-agents is imported only inside the functions that run in a job.

Not here are the methods that every provider defines (`_run`, `_recognize_impl`), and the public `Room.connect`, which
job/room_reporter.py replaces on one room. The contract test covers them too.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from livekit import rtc
    from livekit.agents import AgentServer, llm
    from livekit.agents.ipc.job_proc_executor import ProcJobExecutor
    from livekit.agents.ipc.proc_pool import ProcPool

VERSION: Final = "1.8.9"
"""Version of livekit-agents in which these names were read, and the version that pyproject.toml pins."""
WARM_UP_MODULES: Final = ("livekit.agents.ipc._preload", "livekit.agents.ipc._preload_freeze")
"""The modules that AgentServer adds to those of the fork server, in this order: its warm-up, and the freeze of all
imported modules. Without them each job starts 0.5 to 1 s later."""
TOOL_TASK_PREFIX: Final = "tool_exec_"
"""Prefix of the names of the tasks that run tools. A session cancels no tool, and waits for all when it closes."""


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


def running_tools() -> "list[asyncio.Task[Any]]":
    """Return the tasks of the running event loop that run a tool of a session, by TOOL_TASK_PREFIX."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith(TOOL_TASK_PREFIX)]


def replace_instructions(context: "llm.ChatContext", instructions: str) -> None:
    """Replace the instructions in the context of a turn that has begun, or add them.

    `Agent.update_instructions` changes the agent's own context, and not its copy for the turn.
    """
    from livekit.agents.voice.generation import update_instructions  # noqa: PLC0415 - only jobs import livekit-agents

    update_instructions(context, instructions=instructions, add_if_missing=True)


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
