"""The operator's client and the agent's control port over HTTP: signatures, desired state, long polls, fields."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_agent.health.diagnosis import Diagnosis, Problem
from voicesession_agent.memory.backend import MemoryAddress, MemoryPhase, MemoryStatus
from voicesession_agent.metrics import Metrics
from voicesession_agent.protocol import Message
from voicesession_agent.supervisor.control_auth import Verifier
from voicesession_agent.supervisor.control_server import ControlServer, StateChanges
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.pod_state import HumanLeft, JobPhase, PodPhase, PodState
from voicesession_common.errors import ExternalError, RetryableError
from voicesession_operator.clients.agent_pod import AgentPodClient, public_key_of, to_pod_state
from voicesession_operator.domain import observed

DEADLINE = 30.0
REQUEST_SECONDS = 30.0
KEY = Ed25519PrivateKey.generate()
DESIRED: dict[str, Any] = {
    "sessionUID": "u1",
    "epoch": 0,
    "room": {"name": "vs-1", "url": "ws://livekit:7880"},
    "token": "room-token",
    "identity": "agent-agent-66",
    "memory": {"baseURL": "http://letta:8283", "agentID": "agent-1", "apiKey": "key"},
    "capture": True,
}


class Pod:
    """The agent's control port with the pod's state and the received desired states."""

    port: int

    def __init__(self) -> None:
        self.state = PodState("pod-1", process_started=1.0)
        self.changes = StateChanges(self.state)
        self.received: list[DesiredState] = []

    async def put_state(self, desired: DesiredState) -> None:
        self.state.set_desired_state(desired, time.time(), time.monotonic())
        self.received.append(desired)


@pytest.fixture
async def pod() -> AsyncIterator[Pod]:
    made = Pod()
    app = ControlServer(
        made.state, Verifier(public_key_of(KEY), "pod-1"), Metrics(), made.put_state, made.changes
    ).app()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def operator(pod: Pod) -> AsyncIterator[AgentPodClient]:
    client = AgentPodClient(KEY, time.time, port=pod.port, request_seconds=REQUEST_SECONDS)
    yield client
    await client.close()


async def test_desired_state_reaches_the_pod(pod: Pod, operator: AgentPodClient) -> None:
    before = await operator.state("127.0.0.1", "pod-1")
    assert before is not None
    assert (before.state, before.session_uid) == (PodPhase.PREPARING, "")
    await operator.put_state("127.0.0.1", "pod-1", DESIRED)
    assert pod.received[0].memory == MemoryAddress("http://letta:8283", "agent-1", "key")
    assert (pod.received[0].token, pod.received[0].room_url, pod.received[0].capture) == (
        "room-token",
        "ws://livekit:7880",
        True,
    )
    after = await operator.state("127.0.0.1", "pod-1")
    assert after is not None
    assert after.session_uid == "u1"


async def test_conversation_goes_from_pod_to_replacement(pod: Pod, operator: AgentPodClient) -> None:
    assert await operator.conversation("127.0.0.1", "pod-1") is None
    history = [["user", "Hi."], ["assistant", "Hello."]]
    given = {"greeted": ["alice"], "history": history, "summary": "They met."}
    await operator.put_state("127.0.0.1", "pod-1", DESIRED | {"conversation": given})
    assert (pod.state.greeted, pod.state.summary) == ({"alice"}, "They met.")
    assert pod.state.history == (Message("user", "Hi."), Message("assistant", "Hello."))
    assert await operator.conversation("127.0.0.1", "pod-1") == given
    assert await operator.conversation("127.0.0.1", "pod-0") is None
    await operator.put_state("127.0.0.1", "pod-1", DESIRED | {"epoch": 1})
    assert await operator.conversation("127.0.0.1", "pod-1") is None


async def test_conversation_of_later_desired_state_is_ignored(pod: Pod, operator: AgentPodClient) -> None:
    await operator.put_state("127.0.0.1", "pod-1", DESIRED)
    late = {"greeted": ["bob"], "history": [["user", "Late."]], "summary": ""}
    await operator.put_state("127.0.0.1", "pod-1", DESIRED | {"conversation": late})
    assert (pod.state.greeted, pod.state.history) == (set(), ())


async def test_request_with_another_key_is_refused(pod: Pod) -> None:
    stranger = AgentPodClient(Ed25519PrivateKey.generate(), time.time, port=pod.port, request_seconds=REQUEST_SECONDS)
    assert await stranger.state("127.0.0.1", "pod-1") is None
    with pytest.raises(ExternalError, match="signature"):
        await stranger.put_state("127.0.0.1", "pod-1", DESIRED)
    await stranger.close()
    assert pod.received == []


async def test_request_for_another_pod_at_the_address_is_refused(pod: Pod, operator: AgentPodClient) -> None:
    assert await operator.state("127.0.0.1", "pod-0") is None
    with pytest.raises(ExternalError, match="audience"):
        await operator.put_state("127.0.0.1", "pod-0", DESIRED)


async def test_pod_refuses_another_session(pod: Pod, operator: AgentPodClient) -> None:
    await operator.put_state("127.0.0.1", "pod-1", DESIRED)
    with pytest.raises(ExternalError, match="bound to another session"):
        await operator.put_state("127.0.0.1", "pod-1", DESIRED | {"sessionUID": "u2"})


async def test_long_poll_returns_at_a_change(pod: Pod, operator: AgentPodClient) -> None:
    known, _ = await operator.wait_for_change("127.0.0.1", "pod-1", "")
    waiting = asyncio.create_task(operator.wait_for_change("127.0.0.1", "pod-1", known))
    await operator.put_state("127.0.0.1", "pod-1", DESIRED)
    pod.changes.notify()
    tag, state = await asyncio.wait_for(waiting, DEADLINE)
    assert tag not in ("", known)
    assert state is not None
    assert state.session_uid == "u1"


async def test_long_poll_returns_the_known_tag_after_the_timeout(pod: Pod) -> None:
    operator = AgentPodClient(KEY, time.time, port=pod.port, wait_seconds=0, request_seconds=REQUEST_SECONDS)
    known, _ = await operator.wait_for_change("127.0.0.1", "pod-1", "")
    assert await operator.wait_for_change("127.0.0.1", "pod-1", known) == (known, None)
    await operator.close()


async def test_refused_long_poll_is_retryable(pod: Pod, operator: AgentPodClient) -> None:
    with pytest.raises(RetryableError, match="401"):
        await operator.wait_for_change("127.0.0.1", "pod-0", "")


def test_every_field_of_the_state_is_parsed() -> None:
    state = PodState("pod-1", process_started=1.0)
    state.prepared(2.0)
    state.set_desired_state(DesiredState("u1", 4, "vs-1", "ws://x", "t", token_expires_at=9000.0), 3.0, 3.0)
    state.job_starts()
    state.job_starts()
    state.participant_epoch = "4"
    state.job_joined("PA_1", 4.0, 4.0)
    state.set_humans(("alice",), 4.5)
    state.human_left(HumanLeft("alice", "CLIENT_INITIATED", 5.0))
    state.job_trouble = "in trouble"
    state.diagnosis = Diagnosis(Problem.PROVIDER_FAILING, "llm")
    state.memory_status = lambda: MemoryStatus("agent-1", MemoryPhase.UNAVAILABLE, "Letta does not answer")
    assert to_pod_state(json.loads(json.dumps(state.render()))) == observed.AgentPodState(
        state=PodPhase.BOUND,
        session_uid="u1",
        epoch=4,
        participant_sid="PA_1",
        job_epoch=4,
        participant_epoch="4",
        active_at=4.5,
        health="ProviderFailing",
        health_message="llm",
        memory_agent_id="agent-1",
        memory_problem="Letta does not answer",
        job_restarts=1,
        left_identity="alice",
        left_reason="CLIENT_INITIATED",
        left_at=5.0,
        token_expires_at=9000.0,
        problem="in trouble",
        timings=observed.Timings(process_started=1.0, prepared=2.0, bound=3.0, joined=4.0),
    )
    assert state.job is JobPhase.JOINED


def test_state_shows_a_reset_from_epoch_to_join() -> None:
    state = PodState("pod-1", process_started=1.0)
    state.set_desired_state(DesiredState("u1", 1, "vs-1", "ws://x", "t"), 2.0, 2.0)
    state.job_starts()
    state.job_joined("PA_1", 3.0, 3.0)
    state.set_desired_state(DesiredState("u1", 2, "vs-1", "ws://x", "t", cause="LastHumanLeft"), 4.0, 4.0)
    running = to_pod_state(state.render())
    assert (running.epoch, running.job_epoch, running.participant_sid) == (2, 1, "")
    state.job_starts()
    state.job_joined("PA_2", 4.2, 4.2)
    complete = to_pod_state(state.render())
    assert (complete.epoch, complete.job_epoch, complete.participant_sid) == (2, 2, "PA_2")
