"""What the operator's executor tells a pod is what the agent understands."""

import json
from typing import Any, cast

from voicesession_agent.supervisor.desired_state import MemoryAddress, parse
from voicesession_agent.tracing import read_traceparent
from voicesession_common.api.voicesession import Status
from voicesession_operator.controller.cache import Cache
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.ports import Control, Kube, Rooms
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.domain.actions import SetPodState

from tests.support.builders import T0, agent, session
from tests.support.fakes.span_exporter import Kept


class FakeRooms:
    def agent_token(self, *_: Any) -> str:
        return "room-token"


class FakeControl:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def tell(self, ip: str, pod_uid: str, wanted: dict[str, Any]) -> None:
        self.bodies.append(json.dumps(wanted).encode())


async def told(letta_url: str, memory_agent_id: str, read_only: bool = False, traces: SessionTraces = OFF) -> bytes:
    control = FakeControl()
    addresses = Addresses("ws://livekit:7880", letta_url, "letta-key")
    executor = Executor(
        cast(Kube, None), cast(Rooms, FakeRooms()), cast(Control, control), cast(Cache, None), addresses, traces
    )
    action = SetPodState(
        "10.0.0.1",
        "pod-1",
        "u1",
        2,
        "vs-1",
        "agent-agent-66",
        "Agent_66",
        memory_agent_id,
        3600,
        cause="LastHumanLeft",
        memory_read_only=read_only,
        idle_seconds=60,
    )
    failure = await executor.carry_out(session().build(), agent(memory={"letta": {"capture": True}}), action)
    assert failure is None
    return control.bodies[0]


async def test_with_memory() -> None:
    wanted = parse(await told("http://letta:8283", "agent-1"))
    assert (wanted.session_uid, wanted.epoch, wanted.room_name, wanted.room_url) == (
        "u1",
        2,
        "vs-1",
        "ws://livekit:7880",
    )
    assert (wanted.token, wanted.identity, wanted.capture, wanted.end) == ("room-token", "agent-agent-66", True, False)
    assert wanted.memory == MemoryAddress("http://letta:8283", "agent-1", "letta-key")


async def test_without_memory_yet() -> None:
    assert parse(await told("http://letta:8283", "")).memory is None
    assert parse(await told("", "agent-1")).memory is None


async def test_the_fields_of_a_reset() -> None:
    body = json.loads(await told("http://letta:8283", "agent-1"))
    assert (body["cause"], body["idleSeconds"], body["memory"]["readOnly"]) == ("LastHumanLeft", 60, False)


async def test_a_memory_that_is_only_read() -> None:
    body = json.loads(await told("http://letta:8283", "agent-1", read_only=True))
    assert (body["memory"]["readOnly"], body["capture"]) == (True, False)


async def test_the_agent_writes_below_the_span_that_the_operator_named() -> None:
    kept = Kept()
    order = parse(await told("http://letta:8283", "agent-1", traces=SessionTraces(kept.tracing)))
    SessionTraces(kept.tracing).ended(session().build(), Status(finished_at=T0 + 60))
    start, parent = kept.one("session start").get_span_context(), read_traceparent(order.traceparent)
    assert start is not None
    assert (parent.trace_id, parent.span_id, parent.trace_flags.sampled) == (start.trace_id, start.span_id, True)


async def test_with_tracing_off_the_agent_has_no_trace_to_write_to() -> None:
    assert not read_traceparent(parse(await told("", "")).traceparent).is_valid
