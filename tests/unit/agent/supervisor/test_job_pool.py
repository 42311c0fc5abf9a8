"""Jobs as real processes of livekit-agents, without a LiveKit server to join."""

import asyncio
import gc
import os
import signal
import subprocess
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from livekit.agents import AgentServer, JobContext, JobProcess
from livekit.agents.ipc.job_proc_executor import ProcJobExecutor
from voicesession_agent.livekit_internals import process_pool
from voicesession_agent.protocol import job_id
from voicesession_agent.settings import AgentSpec
from voicesession_agent.supervisor import job_programs
from voicesession_agent.supervisor.job_pool import JobLaunch, LiveKitJobs, describe_exit

AGENT = AgentSpec(name="agent-66", display_name="Agent_66")
DEADLINE = 60.0
EXITING = "exit with code 3"


async def note_and_stay(folder: Path, ctx: JobContext) -> None:
    """Write the job's facts, then process id, address and token of the room, and wait; runs in the job's process."""
    job = ctx.job
    if job.metadata == EXITING:
        os._exit(3)
    room = f"{job.room.name} {job.room.sid} {job.room.metadata} {ctx.room.name}"
    people = f"{job.participant.identity!r} {job.state.participant_identity}"
    folder.joinpath("facts").write_text(f"{job.agent_name} {job.metadata} {room} {people}")

    async def note(url: str, token: str, **_: object) -> None:
        folder.joinpath(ctx.job.id).write_text(f"{os.getpid()} {url} {token}")
        await asyncio.Event().wait()

    ctx.room.connect = note  # type: ignore[method-assign, assignment]
    await ctx.connect()


def count_tries(folder: Path) -> int:
    """Return the number of preparations, with this one."""
    with folder.joinpath("tries").open("a") as tries:
        tries.write(".")
        tries.flush()
        return os.fstat(tries.fileno()).st_size


def fail_once(folder: Path, _: JobProcess) -> None:
    """Fail as a prewarm that needs the network, and prepare the second process."""
    if count_tries(folder) == 1:
        raise ConnectionError("no model server")


def exit_twice(folder: Path, _: JobProcess) -> None:
    """End the first two processes, and prepare the third one."""
    if count_tries(folder) <= 2:
        os._exit(3)


def exit_with_program(folder: Path, _: JobProcess) -> None:
    """End the first process after the start of a program in its session, and prepare the second one."""
    if count_tries(folder) == 1:
        os.setsid()
        folder.joinpath("program").write_text(
            str(subprocess.Popen(["sleep", "3600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
        )
        os._exit(3)


class BareJobs(LiveKitJobs):
    """A job pool without models and without a supervisor; `server` runs its processes, which write into `folder`.

    The processes have the environment of the first test, in which the fork server started.
    """

    def __init__(
        self, folder: Path, setup: Callable[..., None] | None = None, retry_seconds: tuple[float, float] = (0.01, 0.02)
    ) -> None:
        super().__init__(AGENT, [], "ws://default:7880", lambda _: self.server, retry_seconds)
        self.server = AgentServer(num_idle_processes=1, host="127.0.0.1", port=0, ws_url="ws://127.0.0.1:9")
        self.server.setup_fnc = partial(setup, folder) if setup else None
        self.server.rtc_session(partial(note_and_stay, folder))
        self.lost: list[str] = []
        self.failed: list[tuple[int, str]] = []


@asynccontextmanager
async def running(jobs: BareJobs) -> AsyncIterator[None]:
    lost, failed = jobs.lost, jobs.failed
    task = asyncio.create_task(
        jobs.run(lambda _, reason: lost.append(reason), lambda launch, reason: failed.append((launch, reason)))
    )
    yield
    await jobs.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(autouse=True)
def job_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(name, "unused" * 6)
    monkeypatch.setenv("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[BareJobs]:
    made = BareJobs(tmp_path)
    async with running(made):
        yield made


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def is_running(pid: int) -> bool:
    """Return False for a process that has exited, also if its parent has not removed it yet."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def noted(path: Path) -> str:
    async with asyncio.timeout(DEADLINE):
        while not read(path):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    return read(path)


async def prepared(jobs: BareJobs) -> bool:
    """Wait until the pool has prepared its process."""
    ready = asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        jobs.server.once("worker_started", ready.set)
        return await ready.wait()


async def test_launch_returns_handle_of_started_process(jobs: BareJobs, tmp_path: Path) -> None:
    first = await jobs.launch(JobLaunch(1, "vs-1", "", "token-1", "agent"))
    second = await jobs.launch(JobLaunch(2, "vs-1", "ws://other:7880", "token-2", "agent"))
    assert await noted(tmp_path / job_id(1)) == f"{first.pid} ws://default:7880 token-1"
    assert await noted(tmp_path / job_id(2)) == f"{second.pid} ws://other:7880 token-2"
    os.kill(first.pid, signal.SIGSTOP)
    first.kill()
    await asyncio.wait_for(first.ended(), DEADLINE)
    first.kill()
    ended = asyncio.create_task(second.ended())
    await asyncio.sleep(0.1)
    assert not ended.done()
    second.kill()
    await asyncio.wait_for(ended, DEADLINE)


async def test_failed_process_of_job_is_reported_with_launch(jobs: BareJobs) -> None:
    job = await jobs.launch(JobLaunch(7, "vs-1", "", "token-1", "agent", metadata=EXITING))
    await asyncio.wait_for(job.ended(), DEADLINE)
    async with asyncio.timeout(DEADLINE):
        while process_pool(jobs.server).processes:  # noqa: ASYNC110 - the pool has no event
            await asyncio.sleep(0.01)
    assert jobs.failed == [(7, "the agent's job failed: its process exited with code 3")]
    assert jobs.lost == []


async def test_job_context_has_names_and_metadata_of_agent_and_room(jobs: BareJobs, tmp_path: Path) -> None:
    order = JobLaunch(
        1, "vs-1", "", "token-1", "agent-agent-66", room_sid="RM_1", room_metadata="{}", metadata="customer-7"
    )
    job = await jobs.launch(order)
    await noted(tmp_path / job_id(1))
    job.kill()
    await asyncio.wait_for(job.ended(), DEADLINE)
    facts = "agent-66 customer-7 vs-1 RM_1 {} vs-1 '' agent-agent-66"
    assert tmp_path.joinpath("facts").read_text() == facts


async def test_exited_process_leaves_no_task_or_message(jobs: BareJobs) -> None:
    job = await jobs.launch(JobLaunch(1, "vs-1", "", "token-1", "agent"))
    process = weakref.ref(next(found for found in process_pool(jobs.server).processes if found.pid == job.pid))
    job.kill()
    await asyncio.wait_for(job.ended(), DEADLINE)
    del job
    async with asyncio.timeout(DEADLINE):
        while process_pool(jobs.server).processes:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)
    messages = jobs.server._msg_chan  # noqa: SLF001 - livekit-agents shows this queue nowhere
    assert messages.empty(), "messages for a LiveKit that nobody is connected to"
    async with asyncio.timeout(DEADLINE):
        while process() is not None:
            await asyncio.sleep(0.01)
            gc.collect()


async def test_process_exiting_while_prepared_is_reported_and_replaced(tmp_path: Path) -> None:
    jobs = BareJobs(tmp_path, exit_twice)
    async with running(jobs):
        assert await prepared(jobs)
    assert jobs.lost == ["the agent cannot be prepared: its process exited with code 3"] * 2


async def test_programs_of_lost_process_end(tmp_path: Path) -> None:
    jobs = BareJobs(tmp_path, exit_with_program)
    async with running(jobs):
        assert await prepared(jobs)
    program = int(read(tmp_path / "program"))
    async with asyncio.timeout(DEADLINE):
        while is_running(program):  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(0.01)


async def test_failed_preparation_is_repeated_after_delay_or_for_job(tmp_path: Path) -> None:
    jobs = BareJobs(tmp_path, fail_once, retry_seconds=(3600.0, 3600.0))
    async with running(jobs):
        async with asyncio.timeout(DEADLINE):
            while not jobs.lost:  # noqa: ASYNC110 - the pool has no event
                await asyncio.sleep(0.01)
        jobs.prepare_next()
        assert process_pool(jobs.server).target_idle_processes == 0
        job = await jobs.launch(JobLaunch(1, "vs-1", "", "token-1", "agent"))
        assert await noted(tmp_path / job_id(1))
        job.kill()
        await asyncio.wait_for(job.ended(), DEADLINE)
    assert jobs.lost == ["the agent cannot be prepared: its process exited with code 0"]


async def test_programs_of_job_without_handle_end(
    jobs: BareJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(job_programs, "end_programs", ended.append)
    assert await prepared(jobs)
    with monkeypatch.context() as without:
        without.setattr(type(process_pool(jobs.server)), "processes", property(lambda _: []))
        with pytest.raises(RuntimeError, match="gone already"):
            await jobs.launch(JobLaunch(1, "vs-1", "", "token-1", "agent"))
    pid = int((await noted(tmp_path / job_id(1))).split()[0])
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while not ended:  # noqa: ASYNC110 - the pool has no event
            await asyncio.sleep(0.01)
    assert ended == [pid]


@pytest.mark.parametrize(
    ("exitcode", "killed", "reason"),
    [
        (-signal.SIGKILL, True, "its process did not answer within 120 s"),
        (None, False, "its process did not start"),
        (3, False, "its process exited with code 3"),
        (-signal.SIGSEGV, False, "its process was killed by signal 11"),
        (-signal.SIGKILL, False, "its process was killed by signal 9; pod.resources may limit its memory too much"),
    ],
)
def test_describe_exit_names_code_or_signal(exitcode: int | None, killed: bool, reason: str) -> None:
    executor = create_autospec(ProcJobExecutor, instance=True)
    executor.exitcode, executor.killed = exitcode, killed
    assert describe_exit(executor, 120.0) == reason
