"""Spans of a session: start with stages, resets and teardown, all below one span."""

from dataclasses import replace

import pytest
from opentelemetry.trace import StatusCode
from voicesession_common.api.constants import TRACEPARENT_ANNOTATION
from voicesession_common.api.voicesession import Status
from voicesession_common.tracing import read_traceparent
from voicesession_operator.controller.cache import ResourceKind
from voicesession_operator.controller.session_traces import SessionTraces

from tests.support.builders import AGENT, T0, UID, session
from tests.support.fakes.reconciler_world import ReconcilerWorld
from tests.support.fakes.session_lifecycle import join_agent, ready, remove_pod, visited
from tests.support.fakes.span_exporter import RecordedSpans, attributes, span_context, times

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
STAGES = ["found", "pod created", "process started", "models loaded", "bound", "joined", "seen"]


def traced_world(spans: RecordedSpans, traceparent: str = "") -> ReconcilerWorld:
    made = ReconcilerWorld(SessionTraces(spans.tracing))
    if traceparent:
        found = made.session()
        metadata = {**found["metadata"], "annotations": {TRACEPARENT_ANNOTATION: traceparent}}
        made.cache.upsert(ResourceKind.SESSION, made.kube.put("voicesessions", {**found, "metadata": metadata}))
    return made


async def test_start_span_contains_consecutive_stages() -> None:
    spans = RecordedSpans()
    await (await ready(traced_world(spans))).reconcile()
    assert spans.names() == [*STAGES, "session start"]
    start = spans.one("session start")
    assert [times(spans.one(stage))[1] - T0 for stage in STAGES] == [1, 1, 2, 5, 5, 5.5, 6]
    assert times(start) == (T0 + 1, T0 + 6), "creation times are truncated to seconds"
    assert all(span.parent == span_context(start) for span in spans.all if span is not start)
    assert (start.parent, start.status.status_code) == (None, StatusCode.UNSET)
    assert attributes(start) == {
        "voicesession.session.uid": UID,
        "voicesession.agent": AGENT,
        "voicesession.namespace": "default",
    }


async def test_agent_receives_the_start_span_before_the_export() -> None:
    spans = RecordedSpans()
    made = traced_world(spans)
    await made.reconcile()
    made.change_pod(phase="Running", podIP="10.0.0.1")
    join_agent(made, session_uid="")
    await made.reconcile()
    (desired,) = made.pods.received
    join_agent(made)
    await made.reconcile()
    start = span_context(spans.one("session start"))
    assert desired["traceparent"] == f"00-{start.trace_id:032x}-{start.span_id:016x}-01"


async def test_session_joins_the_trace_of_the_token_request() -> None:
    spans = RecordedSpans(ratio=0.0)
    await ready(traced_world(spans, f"00-{TRACE}-{SPAN}-01"))
    start = spans.one("session start")
    assert start.parent is not None
    assert (f"{start.parent.span_id:016x}", start.parent.is_remote) == (SPAN, True)
    assert {f"{span_context(span).trace_id:032x}" for span in spans.all} == {TRACE}


@pytest.mark.parametrize("given", ["", "00-x-y-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01" * 9])
async def test_session_without_valid_traceparent_has_a_stable_trace(given: str) -> None:
    first, second = RecordedSpans(), RecordedSpans()
    await ready(traced_world(first, given))
    await ready(traced_world(second))
    assert span_context(first.one("session start")) == span_context(second.one("session start"))


@pytest.mark.parametrize(("ratio", "given"), [(0.0, ""), (1.0, f"00-{TRACE}-{SPAN}-00")])
def test_unsampled_trace_writes_no_spans_and_reaches_the_agent(ratio: float, given: str) -> None:
    spans = RecordedSpans(ratio)
    traces = SessionTraces(spans.tracing)
    made = replace(session().build(), traceparent=given)
    traces.ended(made, Status(finished_at=T0 + 9, end_reason="StartDeadline"))
    assert spans.all == []
    assert not read_traceparent(traces.traceparent(made)).trace_flags.sampled


async def test_reset_and_teardown_are_children_of_the_start() -> None:
    spans = RecordedSpans()
    made = await visited(traced_world(spans), action="Reset", graceSeconds=0)
    assert "reset" not in spans.names()
    made.now += 0.5
    join_agent(made, epoch=2)
    await made.reconcile()
    made.change_spec(end=True)
    for _ in range(3):
        await made.reconcile()
    made.now += 2
    await remove_pod(made)
    start, reset, teardown = spans.one("session start"), spans.one("reset"), spans.one("teardown")
    assert times(reset) == (T0 + 101, T0 + 101.5)
    assert times(teardown) == (T0 + 101.5, T0 + 103.5)
    assert reset.parent == teardown.parent == span_context(start)
    assert attributes(reset) == {
        "voicesession.reset.cause": "LastHumanLeft",
        "voicesession.reset.outcome": "Complete",
    }
    assert attributes(teardown) == {"voicesession.end_reason": "Requested"}


async def test_session_without_readiness_has_a_failed_start() -> None:
    spans = RecordedSpans()
    made = traced_world(spans)
    await made.reconcile()
    await made.pass_time(60)
    start = spans.one("session start")
    assert start.status.status_code is StatusCode.ERROR
    assert attributes(start)["error.type"] == "StartDeadline"
    assert times(start) == (T0, T0 + 61)


async def test_agent_without_tracing_receives_no_traceparent() -> None:
    made = ReconcilerWorld()
    await made.reconcile()
    made.change_pod(phase="Running", podIP="10.0.0.1")
    join_agent(made, session_uid="")
    await made.reconcile()
    assert made.pods.received[0]["traceparent"] == ""
