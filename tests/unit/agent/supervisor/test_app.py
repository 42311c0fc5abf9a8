"""Shutdown deadlines of the pod, and faults of memory."""

import asyncio
import base64
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_agent.job.supervisor_client import MemoryFaultError, SupervisorClient
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.settings import AgentSettings
from voicesession_agent.supervisor import app
from voicesession_agent.supervisor.app import FLUSH_SECONDS, HANDOVER_SECONDS, SHUTDOWN_SECONDS, SupervisorApp
from voicesession_agent.supervisor.job_pool import CLOSE_SECONDS, Job, JobLaunch, ProcessEnd
from voicesession_agent.supervisor.pod_state import JobPhase, PodState
from voicesession_agent.supervisor.reset import JobTimings
from voicesession_operator.domain import pod_manifest

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
    assert jobs_end + CLOSE_SECONDS + FLUSH_SECONDS + SHUTDOWN_SECONDS < pod_manifest.TERMINATION_MARGIN_SECONDS
    assert HANDOVER_SECONDS <= pod_manifest.HANDOVER_SECONDS


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
    assert await ended_by_signal(tmp_path) == 0
    reasons = [vars(record)["reason"] for record in caplog.records if hasattr(record, "reason")]
    assert reasons == ["its process exited with code 3"]


async def test_ending_pod_stays_in_conversation_until_agent_of_replacement_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asked: list[PodState] = []

    def is_in_conversation(state: PodState) -> bool:
        asked.append(state)
        return state.job is not JobPhase.EXITED

    monkeypatch.setattr(PodState, "is_in_conversation", property(is_in_conversation))
    ending = asyncio.create_task(ended_by_signal(tmp_path))
    async with asyncio.timeout(DEADLINE):
        while len(asked) < 2:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
    assert not ending.done()
    asked[0].job_exited()
    assert await ending == 0
    assert [vars(record)["limit"] for record in caplog.records if vars(record).get("event") == "hands_over"] == [20.0]


async def test_ending_pod_leaves_conversation_after_time_of_handover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "HANDOVER_SECONDS", 0.1)
    monkeypatch.setattr(PodState, "is_in_conversation", True)
    assert await ended_by_signal(tmp_path) == 0


async def ended_by_signal(folder: Path) -> int:
    """Return the exit code of a pod that gets SIGTERM once its jobs run."""
    jobs = LosingJobs()
    running = asyncio.create_task(SupervisorApp(AgentSettings.from_env(environment(folder)), jobs).run())
    async with asyncio.timeout(DEADLINE):
        await jobs.ended.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        return await running


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
