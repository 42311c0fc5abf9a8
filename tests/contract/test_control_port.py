"""The operator's client against the agent's control port, over real HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_agent.health.diagnosis import Diagnosis, Problem
from voicesession_agent.metrics import Metrics
from voicesession_agent.supervisor.control_auth import Verifier
from voicesession_agent.supervisor.control_server import Bulletin
from voicesession_agent.supervisor.control_server import ControlPort as AgentSide
from voicesession_agent.supervisor.desired_state import MemoryAddress, Wanted
from voicesession_agent.supervisor.pod_state import HumanLeft, JobPhase, MemoryPhase, MemoryStatus, Phase, PodState
from voicesession_common.errors import ExternalError, RetryableError
from voicesession_operator.clients import agent_pod
from voicesession_operator.clients.agent_pod import ControlPort, public_key_of, to_pod_state
from voicesession_operator.domain import observed

DEADLINE = 5.0
KEY = Ed25519PrivateKey.generate()
WANTED: dict[str, Any] = {
    "sessionUID": "u1",
    "epoch": 0,
    "room": {"name": "vs-1", "url": "ws://livekit:7880"},
    "token": "room-token",
    "identity": "agent-agent-66",
    "memory": {"baseURL": "http://letta:8283", "agentID": "agent-1", "apiKey": "key"},
    "capture": True,
    "end": False,
}


class Pod:
    """The agent's side with its state and what it was told."""

    def __init__(self) -> None:
        self.state = PodState("pod-1", process_started=1.0)
        self.bulletin = Bulletin(self.state)
        self.told: list[Wanted] = []

    async def tell(self, wanted: Wanted) -> None:
        self.state.tell(wanted, time.time())
        self.told.append(wanted)


@pytest.fixture
async def pod(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    made = Pod()
    app = AgentSide(made.state, Verifier(public_key_of(KEY), "pod-1"), Metrics(), made.tell, made.bulletin).app()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(agent_pod, "CONTROL_PORT", runner.addresses[0][1])
    yield made
    await runner.cleanup()


@pytest.fixture
async def operator() -> AsyncIterator[ControlPort]:
    client = ControlPort(KEY, time.time)
    yield client
    await client.close()


async def test_asked_and_told(pod: Pod, operator: ControlPort) -> None:
    before = await operator.state("127.0.0.1", "pod-1")
    assert before is not None
    assert (before.state, before.session_uid) == (Phase.PREPARING, "")
    await operator.tell("127.0.0.1", "pod-1", WANTED)
    assert pod.told[0].memory == MemoryAddress("http://letta:8283", "agent-1", "key")
    assert (pod.told[0].token, pod.told[0].room_url, pod.told[0].capture) == ("room-token", "ws://livekit:7880", True)
    after = await operator.state("127.0.0.1", "pod-1")
    assert after is not None
    assert after.session_uid == "u1"


async def test_another_operators_key_is_refused(pod: Pod) -> None:
    stranger = ControlPort(Ed25519PrivateKey.generate(), time.time)
    assert await stranger.state("127.0.0.1", "pod-1") is None
    with pytest.raises(ExternalError, match="signature"):
        await stranger.tell("127.0.0.1", "pod-1", WANTED)
    await stranger.close()
    assert pod.told == []


async def test_a_successor_at_the_same_address_is_not_mistaken(pod: Pod, operator: ControlPort) -> None:
    assert await operator.state("127.0.0.1", "pod-0") is None
    with pytest.raises(ExternalError, match="audience"):
        await operator.tell("127.0.0.1", "pod-0", WANTED)


async def test_a_pod_of_another_session_refuses(pod: Pod, operator: ControlPort) -> None:
    await operator.tell("127.0.0.1", "pod-1", WANTED)
    with pytest.raises(ExternalError, match="bound to another session"):
        await operator.tell("127.0.0.1", "pod-1", WANTED | {"sessionUID": "u2"})


async def test_the_operator_hears_of_a_change_at_once(pod: Pod, operator: ControlPort) -> None:
    known = await operator.next_tag("127.0.0.1", "pod-1", "")
    waiting = asyncio.create_task(operator.next_tag("127.0.0.1", "pod-1", known))
    await operator.tell("127.0.0.1", "pod-1", WANTED)
    pod.bulletin.published()
    assert await asyncio.wait_for(waiting, DEADLINE) not in ("", known)


async def test_no_change_is_an_answer_too(pod: Pod, operator: ControlPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_pod, "WAIT_SECONDS", 0)
    known = await operator.next_tag("127.0.0.1", "pod-1", "")
    assert await operator.next_tag("127.0.0.1", "pod-1", known) == known


async def test_a_pod_that_refuses_is_asked_again_later(pod: Pod, operator: ControlPort) -> None:
    with pytest.raises(RetryableError, match="401"):
        await operator.next_tag("127.0.0.1", "pod-0", "")


def test_every_field_of_the_state_arrives() -> None:
    state = PodState("pod-1", process_started=1.0)
    state.prepared(2.0)
    state.tell(Wanted("u1", 4, "vs-1", "ws://x", "t"), 3.0)
    state.job_starts()
    state.job_starts()
    state.job_joined("PA_1", 4.0)
    state.humans_are(("alice",), 4.5)
    state.human_left(HumanLeft("alice", "CLIENT_INITIATED", 5.0))
    state.job_trouble = "in trouble"
    state.diagnosis = Diagnosis(Problem.PROVIDER_FAILING, "llm")
    state.memory_status = lambda: MemoryStatus("agent-1", MemoryPhase.UNAVAILABLE, "Letta does not answer")
    assert to_pod_state(json.loads(json.dumps(state.render()))) == observed.AgentPodState(
        state=Phase.BOUND,
        session_uid="u1",
        epoch=4,
        participant_sid="PA_1",
        job_epoch=4,
        active_at=4.5,
        health="ProviderFailing",
        health_message="llm",
        memory_agent_id="agent-1",
        memory_problem="Letta does not answer",
        job_restarts=1,
        left_identity="alice",
        left_reason="CLIENT_INITIATED",
        left_at=5.0,
        problem="in trouble",
        timings=observed.Timings(process_started=1.0, prepared=2.0, bound=3.0, joined=4.0),
    )
    assert state.job is JobPhase.JOINED


def test_a_reset_is_seen_from_its_telling_to_its_join() -> None:
    state = PodState("pod-1", process_started=1.0)
    state.tell(Wanted("u1", 1, "vs-1", "ws://x", "t"), 2.0)
    state.job_starts()
    state.job_joined("PA_1", 3.0)
    state.tell(Wanted("u1", 2, "vs-1", "ws://x", "t", cause="LastHumanLeft"), 4.0)
    told = to_pod_state(state.render())
    assert (told.epoch, told.job_epoch, told.participant_sid) == (2, 1, "")
    state.job_starts()
    state.job_joined("PA_2", 4.2)
    done = to_pod_state(state.render())
    assert (done.epoch, done.job_epoch, done.participant_sid) == (2, 2, "PA_2")
