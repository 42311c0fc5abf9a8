"""Preparation of a job's process, and the report and error of one that fails."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from livekit.agents import JobProcess
from livekit.agents.inference_runner import _InferenceRunner
from livekit.agents.job import JobExecutorType
from voicesession_agent.job import main
from voicesession_agent.json_logging import AgentJsonFormatter

INFERRING = """
from livekit.agents.inference_runner import _InferenceRunner
class Runner(_InferenceRunner):
    INFERENCE_METHOD = "own"
_InferenceRunner.registered_runners["own"] = Runner  # as register_runner does in the main thread
async def entry(ctx): ...
"""
QUOTES_KEY = """
import os
def prewarm(proc):
    raise OSError(os.environ["CRM_API_KEY"])
"""
API_KEY = "not-a-real-key-0123456789"


@pytest.fixture
async def reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the reports that a supervisor at the job's socket gets."""
    received: list[dict[str, Any]] = []

    async def receive(request: web.Request) -> web.Response:
        received.append(await request.json())
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.post("/report", receive)])
    runner = web.AppRunner(app)
    await runner.setup()
    socket = str(tmp_path / "job.sock")
    await web.UnixSite(runner, socket).start()
    for name, value in {
        "VOICESESSION_POD_UID": "pod-1",
        "VOICESESSION_CONTROL_PUBLIC_KEY": "A" * 43 + "=",
        "VOICESESSION_JOB_SOCKET": socket,
        "CRM_API_KEY": API_KEY,
    }.items():
        monkeypatch.setenv(name, value)
    yield received
    await runner.cleanup()


async def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(source)
    monkeypatch.setenv("VOICESESSION_AGENT", json.dumps({"entrypoint": f"{name}:entry"}))
    process = JobProcess(executor_type=JobExecutorType.PROCESS, user_arguments=None, http_proxy=None)
    await asyncio.to_thread(main.prewarm, process)


async def test_prewarm_reports_prepared_process(
    reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, own_modules: Path
) -> None:
    await prepare(monkeypatch, own_modules, "good_agent", "async def entry(ctx): ...")
    assert reports == [{"kind": "prepared", "runners": []}]


async def test_prewarm_reports_inference_runners_of_agent(
    reports: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, own_modules: Path
) -> None:
    monkeypatch.setattr(_InferenceRunner, "registered_runners", {})
    await prepare(monkeypatch, own_modules, "inferring_agent", INFERRING)
    assert reports == [{"kind": "prepared", "runners": ["inferring_agent:Runner"]}]


@pytest.mark.parametrize(
    ("name", "source", "text"),
    [
        ("exits_at_import", "raise SystemExit('TOKEN is not set')", "called sys.exit: TOKEN is not set"),
        ("exits_in_prewarm", "def prewarm(proc): raise SystemExit(2)", "the program called sys.exit: 2"),
        ("fails_in_prewarm", "def prewarm(proc): raise OSError('no DNS')", "OSError: no DNS"),
        ("quotes_key", QUOTES_KEY, "OSError: <CRM_API_KEY>"),
    ],
)
async def test_prewarm_of_failing_agent_reports_reason_and_ends_process(
    reports: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    own_modules: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    source: str,
    text: str,
) -> None:
    with pytest.raises(main.UnpreparedError, match=text):
        await prepare(monkeypatch, own_modules, name, f"{source}\nasync def entry(ctx): ...")
    (report,) = reports
    assert (report["kind"], report["pid"]) == ("unprepared", os.getpid())
    assert text in report["text"]
    (record,) = [found for found in caplog.records if found.levelno == logging.ERROR]
    line = AgentJsonFormatter().format(record)
    assert f"{name}.py" in line, "the traceback of the failure"
    assert API_KEY not in line
