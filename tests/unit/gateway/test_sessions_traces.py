"""A token request is the root span of its session's trace."""

import pytest
from voicesession_common.api import constants
from voicesession_common.tracing import TOKEN_REQUEST, Tracing, read_traceparent

from tests.support.fakes.api_server import Cluster
from tests.support.fakes.span_exporter import RecordedSpans, attributes, span_context
from tests.support.gateway_client import Operator, token
from tests.unit.gateway.conftest import Start

ALICE = {"participant_identity": "alice", "room_config": {"agents": [{"agent_name": "agent-66"}]}}
NOBODY = {"room_config": {"agents": [{"agent_name": "nobody"}]}}


@pytest.fixture
def kept() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def tracing(kept: RecordedSpans) -> Tracing:
    return kept.tracing


async def test_created_session_has_span_of_request(api: Cluster, start: Start, kept: RecordedSpans) -> None:
    async with Operator(api):
        answer = await token(await start(), ALICE)

    session = api.sessions[answer.headers["Voicesession-Name"]]
    written = read_traceparent(session["metadata"]["annotations"][constants.TRACEPARENT_ANNOTATION])
    span = kept.one(TOKEN_REQUEST)
    assert (span_context(span).trace_id, span_context(span).span_id) == (written.trace_id, written.span_id)
    assert attributes(span) == {}


async def test_refused_request_has_failed_span_without_message(start: Start, kept: RecordedSpans) -> None:
    answer = await token(await start(), NOBODY)

    assert answer.status == 404
    assert attributes(kept.one(TOKEN_REQUEST)) == {"error.type": "ApiError"}
