"""Inference runners of a user's plug-ins in real processes of livekit-agents."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from livekit.agents import AgentServer, JobContext
from livekit.agents.inference_runner import _InferenceRunner
from voicesession_agent import livekit_internals
from voicesession_agent.livekit_internals import process_pool
from voicesession_agent.settings import AgentSpec
from voicesession_agent.supervisor.job_pool import JobLaunch, LiveKitJobs

AGENT = AgentSpec(name="agent-66", display_name="Agent_66")
DEADLINE = 120.0
RUNNER = """
import os
from livekit.agents.inference_runner import _InferenceRunner

class Plugin:
    class Reverser(_InferenceRunner):
        INFERENCE_METHOD = "reverse"
        def initialize(self):
            self.model = reversed
        def run(self, data):
            return f"{bytes(self.model(data)).decode()} {os.getpid()}".encode()

_InferenceRunner.register_runner(Plugin.Reverser)
"""
NAME = "reversing_plugin:Plugin.Reverser"


async def infer(file: Path, ctx: JobContext) -> None:
    """Write the answer of the inference process; runs in the job's process."""
    try:
        answer = (await ctx.inference_executor.do_inference("reverse", b"abc") or b"").decode()
    except RuntimeError as error:
        answer = str(error)
    await asyncio.to_thread(file.write_text, f"{answer} {os.getpid()}")


class InferringJobs(LiveKitJobs):
    """A job pool whose jobs ask for an inference, and no supervisor."""

    def __init__(self, answer: Path) -> None:
        super().__init__(AGENT, [], "ws://127.0.0.1:9", lambda _: self.server)
        self.server = AgentServer(num_idle_processes=1, host="127.0.0.1", port=0, ws_url="ws://127.0.0.1:9")
        self.server.rtc_session(partial(infer, answer))


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file for the answer; the plug-in can be imported by this process and by its children."""
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.setenv(name, "unused" * 6)
    monkeypatch.setenv("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
    monkeypatch.setattr(_InferenceRunner, "registered_runners", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "reversing_plugin.py").write_text(RUNNER)
    return tmp_path / "answer"


@asynccontextmanager
async def running(answer: Path) -> AsyncIterator[InferringJobs]:
    jobs, started = InferringJobs(answer), asyncio.Event()
    jobs.server.once("worker_started", started.set)
    task = asyncio.create_task(jobs.run(lambda *_: None, lambda *_: None))
    await asyncio.wait_for(started.wait(), DEADLINE)
    yield jobs
    await jobs.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def answered(jobs: InferringJobs, answer: Path) -> list[str]:
    """Run a job and return the words of its answer."""
    job = await jobs.launch(JobLaunch(1, "vs-1", "", "token-1", "agent"))
    async with asyncio.timeout(DEADLINE):
        while not (words := read(answer).split()):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    job.kill()
    await asyncio.wait_for(job.ended(), DEADLINE)
    return words


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_runner_of_job_answers_from_separate_process(answer: Path) -> None:
    async with running(answer) as jobs:
        jobs.serve_inference([NAME])
        text, inference_pid, job_pid = await answered(jobs, answer)
    assert text == "cba"
    assert len({int(inference_pid), int(job_pid), os.getpid()}) == 3


async def test_job_gets_error_of_failed_inference_process(answer: Path) -> None:
    async with running(answer) as jobs:
        jobs.serve_inference(["no_such_plugin:Runner"])
        words = await answered(jobs, answer)
    assert " ".join(words[:-1]) == "inference of reverse failed: the inference process did not start"


async def test_pool_of_agent_without_runners_has_no_inference_process(answer: Path) -> None:
    async with running(answer) as jobs:
        jobs.serve_inference([])
        words = await answered(jobs, answer)
        assert isinstance(process_pool(jobs.server)._inf_executor, livekit_internals.SharedInference)  # noqa: SLF001
    assert "registers no inference runner" in " ".join(words)


def test_registered_runners_are_importable_references(answer: Path) -> None:
    assert livekit_internals.registered_runners() == []
    __import__("reversing_plugin")
    assert livekit_internals.registered_runners() == [NAME]
    build, arguments = livekit_internals.RunnerReferences([NAME]).__reduce__()
    assert build(*arguments) == _InferenceRunner.registered_runners
