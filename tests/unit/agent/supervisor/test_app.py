"""Shutdown deadlines of the pod, and faults of memory."""

import asyncio
import base64
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_agent.job.supervisor_client import MemoryFaultError, SupervisorClient
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.settings import AgentSettings
from voicesession_agent.supervisor.app import FLUSH_SECONDS, SHUTDOWN_SECONDS, SupervisorApp
from voicesession_agent.supervisor.job_pool import CLOSE_SECONDS, Job, JobLaunch, ProcessEnd
from voicesession_agent.supervisor.reset import JobTimings
from voicesession_operator.domain.pod_manifest import TERMINATION_MARGIN_SECONDS

LOADED_LETTA_SECONDS = 2.0
DEADLINE = 60.0


class IdleJobs:
    """A JobPool without jobs."""

    async def run(self, process_lost: ProcessEnd, job_failed: ProcessEnd) -> None:
        await asyncio.Event().wait()

    async def launch(self, parameters: JobLaunch) -> Job:
        raise NotImplementedError

    def prepare_next(self) -> None:
        raise NotImplementedError

    def serve_inference(self, runners: Sequence[str]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        return


def test_shutdown_deadlines_fit_into_pod_grace_period() -> None:
    assert FLUSH_SECONDS >= LOADED_LETTA_SECONDS
    jobs_end = JobTimings(shutdown_seconds=0).end_seconds
    assert jobs_end + CLOSE_SECONDS + FLUSH_SECONDS + SHUTDOWN_SECONDS < TERMINATION_MARGIN_SECONDS


class LosingJobs(IdleJobs):
    """A JobPool whose first process ends while it is prepared."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def run(self, process_lost: ProcessEnd, job_failed: ProcessEnd) -> None:
        process_lost(7, "its process exited with code 3")
        job_failed(1, "of no job")
        self.ended.set()
        await asyncio.Event().wait()


async def test_pod_keeps_running_and_logs_reason_when_process_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = LosingJobs()
    running = asyncio.create_task(SupervisorApp(AgentSettings.from_env(environment(tmp_path)), jobs).run())
    async with asyncio.timeout(DEADLINE):
        await jobs.ended.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    reasons = [vars(record)["reason"] for record in caplog.records if hasattr(record, "reason")]
    assert reasons == ["its process exited with code 3"]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a pod with an own agent."""
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {
        "VOICESESSION_POD_UID": "pod-1",
        "VOICESESSION_CONTROL_PUBLIC_KEY": base64.b64encode(key).decode(),
        "VOICESESSION_CONTROL_PORT": "0",
        "VOICESESSION_METRICS_PORT": "0",
        "VOICESESSION_JOB_SOCKET": str(folder / "job.sock"),
        "VOICESESSION_AGENT": '{"entrypoint": "agent:run"}',
    }


async def test_pod_keeps_running_when_memory_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def end(_: MemorySync) -> None:
        ended.set()
        raise RuntimeError

    monkeypatch.setattr(MemorySync, "run", end)
    running = asyncio.create_task(SupervisorApp(AgentSettings.from_env(environment(tmp_path)), IdleJobs()).run())
    async with asyncio.timeout(DEADLINE):
        await ended.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0


def exists(socket: str) -> bool:
    return Path(socket).exists()


async def test_failed_edit_of_memory_is_logged_without_fact(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = AgentSettings.from_env(environment(tmp_path))
    running = asyncio.create_task(SupervisorApp(settings, IdleJobs()).run())
    job = SupervisorClient(settings.job_socket, 1, call_seconds=DEADLINE)
    async with asyncio.timeout(DEADLINE):
        while not exists(settings.job_socket):  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
        with pytest.raises(MemoryFaultError):
            await job.remember("My canary is yellow.")
        await job.close()
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    (logged,) = [vars(record) for record in caplog.records if vars(record).get("event") == "memory_edit_failed"]
    assert (logged["cause"], logged["outcome"]) == ("remember", "failed")
    assert "canary" not in caplog.text
