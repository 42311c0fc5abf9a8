"""The private names of livekit-agents that the agent uses, and the public ones that it would miss without an error.

After an upgrade of livekit-agents these tests fail before a job does. A failure names the attribute; its use and its
replacement belong into `voicesession_agent/livekit_internals.py`.
"""

import asyncio
import inspect
import multiprocessing
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import wait as wait_for_exit
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, get_args

import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    CloseEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    JobContext,
    function_tool,
    llm,
    stt,
    tts,
)
from livekit.agents.ipc.job_proc_executor import ProcJobExecutor
from livekit.agents.ipc.proc_pool import ProcPool
from livekit.agents.job import JobAcceptArguments, RunningJobInfo
from livekit.agents.telemetry.loop_monitor import LoopMonitorThresholds
from livekit.agents.testing import fake_job_context
from livekit.agents.voice.events import AgentStateChangedEvent, UserStateChangedEvent
from voicesession_agent import livekit_internals
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.shutdown import find_session

from tests.support.fakes.tool_calling_model import ToolCallingModel

DEADLINE = 30.0


class TouchedExecutor:
    """A process of the pool that records whether anything reads it."""

    touched = False

    def __getattr__(self, name: str) -> None:
        self.touched = True


class SleepingExecutor(ProcJobExecutor):
    """A process of livekit-agents that only sleeps."""

    def _create_process(self, cch: Any, log_cch: Any) -> Any:
        self.sleeping = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(3600,))
        return self.sleeping


class RecordingClient:
    """A client for the supervisor that keeps the kinds of the reports."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    async def report(self, kind: str, **_: Any) -> None:
        self.kinds.append(kind)


async def run_nothing(_: JobContext) -> None:
    """Run no conversation."""


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AgentServer]:
    """Yield a server that runs without LiveKit and without a process."""
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(name, "unused" * 6)
    made = AgentServer(num_idle_processes=0, host="127.0.0.1", port=0, ws_url="ws://127.0.0.1:9")
    made.rtc_session(run_nothing)
    started = asyncio.Event()
    made.once("worker_started", started.set)
    running = asyncio.create_task(made.run(unregistered=True))
    await asyncio.wait_for(started.wait(), DEADLINE)
    yield made
    await made.aclose()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@contextmanager
def job_context(room: rtc.Room) -> Iterator[JobContext]:
    """Make livekit-agents' own context of a job the current one."""
    with fake_job_context(room=room) as ctx:
        yield ctx
    ctx._tempdir.cleanup()


def constants(function: FunctionType) -> list[Any]:
    """Return the constants in the code of a function, in their order, with those of the functions inside it."""

    def of(code: CodeType) -> list[Any]:
        return [inner for const in code.co_consts for inner in (of(const) if isinstance(const, CodeType) else [const])]

    return of(function.__code__)


def test_installed_version_is_the_reviewed_version() -> None:
    installed = version("livekit-agents")
    assert installed == livekit_internals.VERSION, (
        f"livekit-agents is {installed}: read each name of livekit_internals.py in its source, then change VERSION"
    )


async def test_process_pool_of_running_server_has_used_names(server: AgentServer) -> None:
    pool = livekit_internals.process_pool(server)
    assert isinstance(pool, ProcPool)
    assert list(pool.processes) == []
    assert inspect.iscoroutinefunction(pool.launch_job)
    assert list(inspect.signature(pool.launch_job).parameters) == ["info"]
    assert len(inspect.signature(pool.set_target_idle_processes).parameters) == 1
    assert server.id


async def test_server_with_ignored_status_reads_no_process(server: AgentServer) -> None:
    pool = livekit_internals.process_pool(server)
    before, after = TouchedExecutor(), TouchedExecutor()
    pool.emit("process_closed", before)
    await asyncio.sleep(0)
    assert before.touched, "AgentServer no longer handles the pool's events with _update_job_status"
    livekit_internals.ignore_job_status(server)
    pool.emit("process_closed", after)
    await asyncio.sleep(0)
    assert not after.touched


async def test_kill_process_marks_executor_as_killed() -> None:
    arguments: dict[str, Any] = dict.fromkeys(inspect.signature(ProcJobExecutor).parameters, 60.0)
    no_monitor: dict[str, Any] = {"memory_warn_mb": 0, "memory_limit_mb": 0}
    executor = SleepingExecutor(**arguments | no_monitor | {"mp_ctx": None, "loop": asyncio.get_running_loop()})
    assert executor.running_job is None
    await executor.start()
    try:
        assert (executor.killed, executor.pid) == (False, executor.sleeping.pid)
        livekit_internals.kill_process(executor)
        assert executor.killed, "the executor would report the exit of a killed process as an error"
        assert await asyncio.to_thread(wait_for_exit, [executor.sleeping.sentinel], DEADLINE)
    finally:
        executor.sleeping.kill()
    await asyncio.wait_for(executor.kill(), DEADLINE)  # a process without preparation has no other end
    await executor.join()
    assert executor.exitcode == -signal.SIGKILL
    livekit_internals.kill_process(executor)


def test_warm_up_modules_equal_modules_of_server() -> None:
    assert all(find_spec(name) for name in livekit_internals.WARM_UP_MODULES)
    own = [value for value in constants(AgentServer.run) if str(value).startswith("livekit.agents.")]
    assert own == list(livekit_internals.WARM_UP_MODULES)


def test_warm_up_reads_preload_variable_of_settings() -> None:
    spec = find_spec(livekit_internals.WARM_UP_MODULES[0])
    assert spec is not None
    assert spec.origin is not None
    assert '"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"' in Path(spec.origin).read_text()


def test_monitor_of_blocked_loops_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LoopMonitorThresholds.from_env() is not None
    monkeypatch.setenv("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")
    assert LoopMonitorThresholds.from_env() is None


def test_registered_entrypoint_is_function_given_to_server() -> None:
    server = AgentServer(setup_fnc=print)
    assert livekit_internals.registered_entrypoint(server) is None
    server.rtc_session(run_nothing)
    assert livekit_internals.registered_entrypoint(server) is run_nothing
    assert server.setup_fnc is print
    assert livekit_internals.request_function(server) is None


def test_request_function_is_function_given_to_server() -> None:
    server = AgentServer()
    server.rtc_session(run_nothing, on_request=print)
    assert livekit_internals.request_function(server) is print


async def test_session_and_tools_of_real_job_are_found() -> None:
    entered = asyncio.Event()

    @function_tool
    async def wait() -> None:
        """Wait."""
        entered.set()
        await asyncio.Event().wait()

    with job_context(rtc.Room()) as ctx:
        assert find_session(ctx) is None
        session: AgentSession[None] = AgentSession(llm=ToolCallingModel("wait"))
        await session.start(Agent(instructions="Call the tool.", tools=[wait]))
        assert find_session(ctx) is session
        session.generate_reply(user_input="Please.")
        await asyncio.wait_for(entered.wait(), DEADLINE)
        (tool,) = livekit_internals.running_tools()
        tool.cancel()
        await session.aclose()
    assert tool.cancelled()
    assert livekit_internals.running_tools() == {}


def test_replace_instructions_twice_leaves_single_message() -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello.")
    for text in ("Be brief.", "Be polite."):
        livekit_internals.replace_instructions(context, text)
    messages = [(item.role, item.text_content) for item in context.items if isinstance(item, llm.ChatMessage)]
    assert sorted(messages) == [("system", "Be polite."), ("user", "Hello.")]


async def test_connect_of_job_context_uses_replaced_connect_of_room() -> None:
    room, client = rtc.Room(), RecordingClient()
    calls: list[tuple[Any, ...]] = []

    async def connect(*arguments: Any, **_: Any) -> None:
        calls.append(arguments)
        raise rtc.ConnectError("refused by the test")

    room.connect = connect  # type: ignore[method-assign]
    with job_context(room) as ctx:
        ctx._connected = False
        reporter = RoomReporter(ctx.room, client)  # type: ignore[arg-type]
        with pytest.raises(rtc.ConnectError):
            await ctx.connect()
        await reporter.close()
    assert len(calls) == 1
    assert client.kinds == ["trouble", "refused"]


def test_job_info_has_the_given_fields() -> None:
    assert {field.name for field in fields(JobAcceptArguments)} >= {"identity", "name", "metadata"}
    used = {"worker_id", "accept_arguments", "job", "url", "token", "fake_job"}
    assert {field.name for field in fields(RunningJobInfo)} >= used


def test_providers_define_the_abstract_methods() -> None:
    assert tts.ChunkedStream.__abstractmethods__ == {"_run"}
    assert "_recognize_impl" in stt.STT.__abstractmethods__


def test_measurements_of_messages_have_the_read_names() -> None:
    read = {
        "started_speaking_at",
        "transcription_delay",
        "end_of_turn_delay",
        "on_user_turn_completed_delay",
        "llm_node_ttft",
        "tts_node_ttfb",
        "e2e_latency",
    }
    assert set(llm.MetricsReport.__annotations__) >= read
    assert {"role", "metrics"} <= set(llm.ChatMessage.model_fields)


def test_errors_of_providers_have_type_and_recoverable() -> None:
    errors = {"stt": stt.STTError, "llm": llm.LLMError, "tts": tts.TTSError}
    for role, error in errors.items():
        assert error.model_fields["type"].default == f"{role}_error"
        assert "recoverable" in error.model_fields


def test_events_of_session_have_the_read_fields() -> None:
    assert "error" in ErrorEvent.model_fields
    assert "error" in CloseEvent.model_fields
    assert "item" in ConversationItemAddedEvent.model_fields
    assert {"speaking", "listening"} <= set(get_args(AgentStateChangedEvent.model_fields["new_state"].annotation))
    assert "speaking" in get_args(UserStateChangedEvent.model_fields["new_state"].annotation)


async def test_only_newest_events_of_session_are_kept() -> None:
    session: AgentSession[None] = AgentSession()
    livekit_internals.forget_old_events(session, 2)
    for number in range(3):
        session.emit("error", ErrorEvent(error=RuntimeError(str(number)), source="llm"))
    kept = [str(event.error) for event in session._recorded_events if isinstance(event, ErrorEvent)]
    assert kept == ["1", "2"]
