"""One trace of the operator's spans and a complete agent pod's spans, received by one OTLP collector."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.settings import AgentSettings, AgentSpec
from voicesession_agent.supervisor.app import SupervisorApp
from voicesession_common.tracing import Tracing
from voicesession_operator.clients.agent_pod import AgentPodClient, public_key_of
from voicesession_operator.controller.session_traces import SessionTraces
from voicesession_operator.metric_labels import StartStage

from tests.support.builders import session
from tests.support.fakes.supervisor_world import DEADLINE, FakeJobs
from tests.support.observability import otlp_receiver
from tests.support.observability.otlp_receiver import SpanStore

REQUEST_SECONDS = 30.0
KEY = Ed25519PrivateKey.generate()
HERE = "127.0.0.1"


@pytest.fixture
def collector() -> Iterator[SpanStore]:
    with otlp_receiver.serving(HERE, 0) as found:
        yield found


class Pod:
    """An agent pod with jobs that report as the test directs."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.port, self.jobs = _free_port(), FakeJobs()
        path = str(folder / "job.sock")
        settings = AgentSettings(
            pod_uid="pod-1",
            public_key=public_key_of(KEY),
            control_port=self.port,
            metrics_port=_free_port(),
            agent=AgentSpec(name="agent-66"),
            job_socket=path,
            otlp_endpoint=endpoint,
        )
        self.running = asyncio.create_task(SupervisorApp(settings, self.jobs).run())
        self.job = SupervisorClient(path, 1, call_seconds=REQUEST_SECONDS)

    async def stop(self) -> int:
        """Send SIGTERM, as the kubelet does, and return the exit code."""
        signal.raise_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.running, DEADLINE)


@pytest.fixture
async def pod(collector: SpanStore, tmp_path: Path) -> AsyncIterator[Pod]:
    made = Pod(_address(collector), tmp_path)
    yield made
    await made.job.close()
    made.running.cancel()
    await asyncio.gather(made.running, return_exceptions=True)


async def test_session_start_and_job_spans_share_a_trace(pod: Pod, collector: SpanStore) -> None:
    tracing = Tracing.connect("voicesession-operator", "operator-1", _address(collector), 1.0)
    traces, call, began = SessionTraces(tracing), session().build(), time.time()
    control = AgentPodClient(KEY, time.time, port=pod.port, request_seconds=REQUEST_SECONDS)
    await _wait_until_answering(control)
    await control.put_state(HERE, "pod-1", _desired_state(traces.traceparent(call)))
    await pod.job.report("prepared")
    await _until(lambda: bool(pod.jobs.jobs))
    await pod.job.report("joined", sid="PA_1")
    traces.started(call, began, {StartStage.FOUND: 0.0, StartStage.SEEN: time.time() - began})
    await pod.job.report("humans", identities=["alice"])
    await pod.job.report("latency", seconds={"tts_first_audio": 0.1}, spoke_at=time.time())

    assert await pod.stop() == 0
    await tracing.close()
    await control.close()

    spans = {span["name"]: span for span in collector.spans}
    assert {name: span["service"].removeprefix("voicesession-") for name, span in spans.items()} == {
        "session start": "operator",
        "found": "operator",
        "seen": "operator",
        "job": "agent",
        "join": "agent",
        "first audio": "agent",
    }
    assert len({span["trace"] for span in spans.values()}) == 1
    start = spans["session start"]["span"]
    assert [spans[name]["parent"] for name in ("session start", "seen", "job", "first audio")] == ["", *[start] * 3]
    assert max(spans.values(), key=lambda span: float(span["end"]))["name"] == "first audio"
    assert spans["job"]["attributes"]["voicesession.agent"] == "agent-66"


def _desired_state(traceparent: str) -> dict[str, object]:
    room = {"name": "vs-1", "url": "ws://livekit:7880"}
    return {"sessionUID": "u1", "epoch": 1, "room": room, "token": "room-token", "traceparent": traceparent}


async def _wait_until_answering(control: AgentPodClient) -> None:
    async with asyncio.timeout(DEADLINE):
        while await control.state(HERE, "pod-1") is None:  # noqa: ASYNC110 - as in _until
            await asyncio.sleep(0.01)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the code under test sends no notification
            await asyncio.sleep(0.01)


def _address(collector: SpanStore) -> str:
    return f"http://{HERE}:{collector.server.server_port}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])
