"""Spans of the pod in its session's trace, without words or names, and only for a sampled trace."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF
from opentelemetry.trace import StatusCode
from voicesession_agent.memory.backend import MemoryCall, MemoryOutcome
from voicesession_agent.supervisor.supervisor import GaveUpError
from voicesession_agent.tracing import AgentTracing

from tests.support.fakes.supervisor_world import SupervisorWorld, desired

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KEPT = f"00-{TRACE}-{SPAN}-01"
HEARD = {"transcription": 0.5, "end_of_turn": 0.25}
SPOKEN = {"llm_first_token": 0.25, "tts_first_audio": 0.125, "response": 1.25}


class Traced(SupervisorWorld):
    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider(sampler=DEFAULT_OFF, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        super().__init__(AgentTracing(provider))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._memory.get_finished_spans())

    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def times(self) -> dict[str, tuple[float, float]]:
        """Return begin and end of the spans by name, in seconds of the pod's clock."""
        found = {span.name: ((span.start_time or 0) / 1e9, (span.end_time or 0) / 1e9) for span in self.spans}
        assert len(found) == len(self.spans)
        return found

    async def in_room(self, traceparent: str = KEPT) -> None:
        """Run a job: launch at 100, join at 100.5, and alice is seen at 110."""
        await self.supervisor.prepared()
        await self.supervisor.set_desired_state(replace(desired(), traceparent=traceparent))
        await self.started(1)
        await self.settle()
        self.now = 100.5
        await self.report(1, "joined", sid="PA_1")
        self.now = 110.0
        await self.report(1, "humans", identities=["alice"])


@pytest.fixture
async def pod() -> AsyncIterator[Traced]:
    made = Traced()
    yield made
    made.running.cancel()
    with suppress(asyncio.CancelledError, GaveUpError):
        await made.running
    await made.supervisor.close()


async def test_job_and_join_spans_are_children_of_operator_span(pod: Traced) -> None:
    await pod.in_room()
    assert pod.times() == {"job": (100.0, 100.5), "join": (100.0, 100.5)}
    job, join = pod.spans
    assert (job.parent and f"{job.parent.trace_id:032x}-{job.parent.span_id:016x}") == f"{TRACE}-{SPAN}"
    assert join.parent == job.get_span_context()
    assert dict(job.attributes or {}) == {"voicesession.epoch": 1, "voicesession.cause": "Start"}


async def test_first_audio_span_is_written_once(pod: Traced) -> None:
    await pod.in_room()
    for spoke_at in (110.75, 120.0):
        await pod.report(1, "latency", seconds={"tts_first_audio": 0.125}, spoke_at=spoke_at)
    assert pod.names() == ["job", "join", "first audio"]
    assert pod.times()["first audio"] == (110.0, 110.75)


async def test_first_audio_span_starts_at_join_for_early_human(pod: Traced) -> None:
    await pod.in_room()
    await pod.report(1, "latency", seconds={}, spoke_at=101.0)
    assert pod.times()["first audio"] == (100.5, 101.0)


async def test_turn_span_is_split_into_stages(pod: Traced) -> None:
    await pod.in_room()
    await pod.report(1, "latency", seconds=HEARD, spoke_at=None)
    await pod.report(1, "latency", seconds=SPOKEN, spoke_at=121.25)
    assert {name: span for name, span in pod.times().items() if name not in ("job", "join")} == {
        "first audio": (110.0, 121.25),
        "turn": (120.0, 121.25),
        "transcription": (120.0, 120.5),
        "end of turn": (120.5, 120.75),
        "llm first token": (120.875, 121.125),
        "tts first audio": (121.125, 121.25),
    }
    (turn,) = [span for span in pod.spans if span.name == "turn"]
    assert all(span.parent == turn.get_span_context() for span in pod.spans[-4:])


async def test_turn_span_excludes_stages_of_previous_turn(pod: Traced) -> None:
    await pod.in_room()
    await pod.report(1, "latency", seconds=HEARD)
    await pod.report(1, "latency", seconds=SPOKEN, spoke_at=121.25)
    before = len(pod.spans)
    await pod.report(1, "latency", seconds=SPOKEN, spoke_at=131.25)
    assert pod.names()[before:] == ["turn", "tts first audio", "llm first token"]


async def test_reset_writes_own_job_and_first_audio_spans(pod: Traced) -> None:
    await pod.in_room()
    await pod.report(1, "latency", seconds={}, spoke_at=110.5)
    await pod.supervisor.set_desired_state(replace(desired(epoch=2, cause="LastHumanLeft"), traceparent=KEPT))
    await pod.joined(2)
    await pod.report(1, "latency", seconds=SPOKEN, spoke_at=110.75)
    await pod.report(2, "humans", identities=["bob"])
    await pod.report(2, "latency", seconds={}, spoke_at=112.0)
    assert pod.names() == ["job", "join", "first audio"] * 2
    assert dict(pod.spans[3].attributes or {}) == {"voicesession.epoch": 2, "voicesession.cause": "LastHumanLeft"}


async def test_job_without_join_has_failed_span(pod: Traced) -> None:
    await pod.supervisor.prepared()
    await pod.supervisor.set_desired_state(replace(desired(), traceparent=KEPT))
    job = await pod.started(1)
    await pod.settle()
    pod.now = 107.0
    job.die()
    await pod.until(lambda: bool(pod.spans))
    (span,) = pod.spans
    assert (span.name, span.status.status_code) == ("job", StatusCode.ERROR)
    assert (span.attributes or {})["error.type"] == "NotJoined"
    assert pod.times()["job"] == (100.0, 107.0)


async def test_memory_load_spans_end_with_first_success(pod: Traced) -> None:
    await pod.in_room()
    for call, outcome in (
        (MemoryCall.LOAD, MemoryOutcome.UNAVAILABLE),
        (MemoryCall.CAPTURE, MemoryOutcome.OK),
        (MemoryCall.LOAD, MemoryOutcome.OK),
        (MemoryCall.LOAD, MemoryOutcome.OK),
    ):
        pod.traces.observe_memory_call(call, outcome, 0.25)
    loads = [span for span in pod.spans if span.name == "memory load"]
    assert [(span.attributes or {}).get("error.type") for span in loads] == ["unavailable", None]
    await pod.supervisor.set_desired_state(replace(desired(epoch=2), traceparent=KEPT))
    pod.traces.observe_memory_call(MemoryCall.LOAD, MemoryOutcome.OK, 0.25)
    assert pod.names().count("memory load") == 3


@pytest.mark.parametrize("traceparent", ["", "rubbish", f"00-{TRACE}-{SPAN}-00"])
async def test_unsampled_trace_writes_no_span(pod: Traced, traceparent: str) -> None:
    await pod.in_room(traceparent)
    pod.traces.observe_memory_call(MemoryCall.LOAD, MemoryOutcome.OK, 0.25)
    await pod.report(1, "latency", seconds=HEARD)
    await pod.report(1, "latency", seconds=SPOKEN, spoke_at=121.25)
    assert pod.spans == []


async def test_spans_contain_no_identity(pod: Traced) -> None:
    await pod.in_room()
    await pod.report(1, "latency", seconds=HEARD)
    await pod.report(1, "latency", seconds=SPOKEN, spoke_at=121.25)
    assert "alice" not in "".join(span.to_json() for span in pod.spans)
    assert {key for span in pod.spans for key in span.attributes or {}} == {"voicesession.epoch", "voicesession.cause"}
