"""A token request is the root span of its session's trace."""

import pytest
from voicesession_common.api import constants
from voicesession_common.tracing import Tracing, read_traceparent
from voicesession_gateway.sessions import TOKEN_REQUEST

from tests.support.fakes.api_server import FakeApiServer
from tests.support.fakes.span_exporter import RecordedSpans, attributes, span_context
from tests.support.gateway_client import FakeOperator, request_token
from tests.unit.gateway.conftest import Start

ALICE = {"participant_identity": "alice", "room_config": {"agents": [{"agent_name": "agent-66"}]}}
NOBODY = {"room_config": {"agents": [{"agent_name": "nobody"}]}}


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def tracing(spans: RecordedSpans) -> Tracing:
    return spans.tracing


async def test_created_session_has_span_of_request(api: FakeApiServer, start: Start, spans: RecordedSpans) -> None:
    async with FakeOperator(api):
        answer = await request_token(await start(), ALICE)

    session = api.sessions[answer.headers["Voicesession-Name"]]
    written = read_traceparent(session["metadata"]["annotations"][constants.TRACEPARENT_ANNOTATION])
    span = spans.one(TOKEN_REQUEST)
    assert (span_context(span).trace_id, span_context(span).span_id) == (written.trace_id, written.span_id)
    assert attributes(span) == {}


async def test_refused_request_has_failed_span_without_message(start: Start, spans: RecordedSpans) -> None:
    answer = await request_token(await start(), NOBODY)

    assert answer.status == 404
    assert attributes(spans.one(TOKEN_REQUEST)) == {"error.type": "ApiError"}
