"""Jobs as real processes of livekit-agents, without a LiveKit server to join."""

import asyncio
import gc
import os
import signal
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from livekit.agents import AgentServer, JobContext
from voicesession_agent.livekit_internals import process_pool
from voicesession_agent.protocol import job_id
from voicesession_agent.supervisor.job_pool import JobLaunch, LiveKitJobs

DEADLINE = 60.0


async def note_and_stay(ctx: JobContext) -> None:
    """Write the process id and the address and token of the room, and wait; runs in the job's process."""

    async def note(url: str, token: str, **_: object) -> None:
        Path(os.environ["NOTED_HERE"]).joinpath(ctx.job.id).write_text(f"{os.getpid()} {url} {token}")
        await asyncio.Event().wait()

    ctx.room.connect = note  # type: ignore[method-assign, assignment]
    await ctx.connect()


class BareJobs(LiveKitJobs):
    """A job pool without models and without a supervisor; `server` runs its processes."""

    def __init__(self) -> None:
        super().__init__([], "ws://default:7880", lambda _: self.server)
        self.server = AgentServer(num_idle_processes=1, host="127.0.0.1", port=0, ws_url="ws://127.0.0.1:9")
        self.server.rtc_session(note_and_stay)


@pytest.fixture
async def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[BareJobs]:
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(name, "unused" * 6)
    monkeypatch.setenv("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
    monkeypatch.setenv("NOTED_HERE", str(tmp_path))
    made = BareJobs()
    running = asyncio.create_task(made.run())
    yield made
    await made.close()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def noted(path: Path) -> str:
    async with asyncio.timeout(DEADLINE):
        while not read(path):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    return read(path)


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
