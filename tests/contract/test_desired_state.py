"""The desired state sent by the operator's executor, parsed by the agent."""

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from voicesession_agent.memory.backend import MemoryAddress
from voicesession_agent.protocol import HISTORY_BYTES, SUMMARY_CHARACTERS, Conversation, Message
from voicesession_agent.supervisor.control_server import MAX_BODY_BYTES
from voicesession_agent.supervisor.desired_state import parse
from voicesession_agent.tracing import read_traceparent
from voicesession_common import JsonObject
from voicesession_common.api.voicesession import Status
from voicesession_common.kube_client import KubernetesApi
from voicesession_gateway.session_request import METADATA_CHARACTERS
from voicesession_operator.clients.livekit import RoomService
from voicesession_operator.controller.cache import Cache
from voicesession_operator.controller.executor import Addresses, Executor
from voicesession_operator.controller.observation import RoomDirectory
from voicesession_operator.controller.ports import AgentPods, LiveKitRooms, WarmPods
from voicesession_operator.controller.session_traces import OFF, SessionTraces
from voicesession_operator.domain.actions import PodAddress, SetPodState

from tests.support.builders import T0, agent, session
from tests.support.fakes.span_exporter import RecordedSpans

LETTA = "http://letta:8283"
ENDING = PodAddress("10.0.0.9", "\x01")
"""Its answer repeats the UID, of which JSON makes six characters."""


class FakeTokens:
    def agent_token(self, *_: Any) -> str:
        return "room-token"

    def admin_token(self, *_: Any) -> str:
        return "admin-token"


class RecordingPods:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def conversation(self, ip: str, pod_uid: str) -> JsonObject:
        return {
            "greeted": [ip],
            "history": [["user", pod_uid * HISTORY_BYTES]],
            "summary": pod_uid * SUMMARY_CHARACTERS,
        }

    async def put_state(self, ip: str, pod_uid: str, desired: JsonObject) -> None:
        self.bodies.append(json.dumps(desired).encode())


async def sent(
    letta_url: str,
    memory_agent_id: str,
    read_only: bool = False,
    traces: SessionTraces = OFF,
    metadata: str = "",
    scope: str = "Agent",
    user: str = "",
    continues: PodAddress | None = None,
) -> bytes:
    """Return the body that the executor sends."""
    pods = RecordingPods()
    addresses = Addresses("ws://livekit:7880", letta_url, "letta-key")
    rooms = RoomDirectory(cast(LiveKitRooms, FakeTokens()), lambda _: None, lambda: T0, list_seconds=0)
    executor = Executor(
        cast(KubernetesApi, None),
        rooms,
        cast(AgentPods, pods),
        cast(Cache, None),
        addresses,
        cast(WarmPods, None),
        traces,
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
        memory_remember=not read_only,
        memory_remember_block="facts",
        idle_seconds=60,
        room_sid="RM_1",
        room_metadata=metadata,
        agent_metadata=metadata,
        continues=continues,
    )
    voice_agent = replace(agent(memory={"letta": {"capture": True, "scope": scope}}), letta_agent_id="agent-shared")
    failure = await executor.execute(session().user(user).build(), voice_agent, action)
    assert failure is None
    return pods.bodies[0]


async def test_agent_parses_session_room_and_memory() -> None:
    desired = parse(await sent(LETTA, "agent-1"))
    assert (desired.session_uid, desired.epoch) == ("u1", 2)
    assert (desired.room_name, desired.room_url) == ("vs-1", "ws://livekit:7880")
    assert (desired.token, desired.identity) == ("room-token", "agent-agent-66")
    assert desired.capture
    assert desired.memory == MemoryAddress(LETTA, "agent-1", "letta-key")


async def test_agent_parses_admin_token_and_prewarm() -> None:
    desired = parse(await sent("", ""))
    assert (desired.admin_token, desired.prewarm) == ("admin-token", True)


async def test_job_gets_metadata_of_agent_and_room() -> None:
    job = parse(await sent("", "", metadata="for the agent")).job_launch(3)
    assert (job.launch, job.room, job.room_sid) == (3, "vs-1", "RM_1")
    assert (job.metadata, job.room_metadata) == ("for the agent", "for the agent")
    assert "for the agent" not in repr(job)


async def test_longest_metadata_fits_into_body_of_control_port() -> None:
    emoji = "\N{HEADPHONE}" * METADATA_CHARACTERS
    body = await sent(LETTA, "agent-1", metadata=emoji, continues=ENDING)
    assert len(body) < MAX_BODY_BYTES
    assert parse(body).agent_metadata == emoji
    assert parse(body).conversation.history == (Message("user", "\x01" * HISTORY_BYTES),)


async def test_agent_parses_conversation_of_ending_pod() -> None:
    desired = parse(await sent("", "", continues=ENDING))
    assert desired.conversation.greeted == {"10.0.0.9"}
    assert "10.0.0.9" not in repr(desired)
    assert parse(await sent("", "")).conversation == Conversation()


async def test_agent_reads_epoch_of_the_operators_token() -> None:
    rooms = RoomService("ws://livekit:7880", "key", "a secret of LiveKit with 32 bytes or more")
    token = rooms.agent_token("vs-1", "agent-66", "Agent_66", 60, epoch=7)
    await rooms.close()
    body = json.loads(await sent("", "")) | {"token": token}
    assert int(parse(json.dumps(body).encode()).token_epoch) == 7


async def test_agent_parses_missing_memory() -> None:
    assert parse(await sent(LETTA, "")).memory is None
    assert parse(await sent("", "agent-1")).memory is None


async def test_body_contains_cause_and_idle_limit() -> None:
    body = json.loads(await sent(LETTA, "agent-1"))
    assert (body["cause"], body["idleSeconds"], body["memory"]["readOnly"]) == ("LastHumanLeft", 60, False)


async def test_body_contains_the_decision_about_remembering() -> None:
    memory = json.loads(await sent(LETTA, "agent-1"))["memory"]
    assert (memory["remember"], memory["rememberBlock"]) == (True, "facts")


async def test_read_only_memory_disables_capture() -> None:
    body = json.loads(await sent(LETTA, "agent-1", read_only=True))
    assert (body["memory"]["readOnly"], body["capture"]) == (True, False)


@pytest.mark.parametrize(
    ("scope", "user", "memory_agent_id", "recalls"),
    [
        ("User", "alice", "agent-alice", True),
        ("User", "alice", "agent-shared", False),
        ("User", "", "agent-shared", False),
        ("Agent", "alice", "agent-shared", False),
    ],
)
async def test_search_is_allowed_in_memory_of_single_user(
    scope: str, user: str, memory_agent_id: str, recalls: bool
) -> None:
    assert parse(await sent(LETTA, memory_agent_id, scope=scope, user=user)).recall is recalls


async def test_agent_parses_the_parent_span() -> None:
    spans = RecordedSpans()
    desired = parse(await sent(LETTA, "agent-1", traces=SessionTraces(spans.tracing)))
    SessionTraces(spans.tracing).ended(session().build(), Status(finished_at=T0 + 60))
    start, parent = spans.one("session start").get_span_context(), read_traceparent(desired.traceparent)
    assert start is not None
    assert (parent.trace_id, parent.span_id, parent.trace_flags.sampled) == (start.trace_id, start.span_id, True)


async def test_agent_without_tracing_has_no_parent_span() -> None:
    assert not read_traceparent(parse(await sent("", "")).traceparent).is_valid
