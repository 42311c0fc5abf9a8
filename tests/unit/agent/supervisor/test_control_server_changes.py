"""Entity tags of the pod's state, and waits for changes."""

import asyncio
from collections.abc import Callable

import pytest
from voicesession_agent.health.diagnosis import Diagnosis, Problem
from voicesession_agent.memory.backend import MemoryStatus
from voicesession_agent.supervisor.control_server import StateChanges
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.pod_state import HumanLeft, PodState

DEADLINE = 30.0


@pytest.fixture
def state() -> PodState:
    made = PodState("pod-1", process_started=1.0)
    made.prepared(2.0)
    made.set_desired_state(DesiredState("u1", 1, "vs-1", "ws://x", "t"), 3.0, 3.0)
    made.job_starts()
    made.job_joined("PA_1", 4.0, 4.0)
    made.set_humans(("alice",), 5.0)
    return made


def unhealthy(state: PodState) -> None:
    state.diagnosis = Diagnosis(Problem.MUTE, "no sound")


def reset(state: PodState) -> None:
    state.set_desired_state(DesiredState("u1", 2, "vs-1", "ws://x", "t"), 6.0, 6.0)


def memory_unavailable(state: PodState) -> None:
    state.memory_status = lambda: MemoryStatus(message="Letta does not answer")


@pytest.mark.parametrize(
    "change",
    [
        memory_unavailable,
        lambda state: state.set_humans(("alice", "bob"), 6.0),
        lambda state: state.human_left(HumanLeft("alice", "CLIENT_INITIATED", 6.0)),
        lambda state: state.job_exited(),
        lambda state: state.agent_ended(),
        lambda state: state.job_joined("PA_2", 6.0, 6.0),
        unhealthy,
        reset,
    ],
)
def test_tag_changes_with_facts_for_operator(state: PodState, change: Callable[[PodState], None]) -> None:
    before = StateChanges(state).tag()
    change(state)
    assert StateChanges(state).tag() != before


def test_tag_ignores_speech(state: PodState) -> None:
    before = StateChanges(state).tag()
    state.active_at = 7.0
    state.set_humans(("alice",), 8.0)
    assert StateChanges(state).tag() == before


async def test_wait_without_notification_polls(state: PodState) -> None:
    changes = StateChanges(state, poll_seconds=0.01)
    waiting = asyncio.create_task(changes.wait_for_change(changes.tag(), 3600.0))
    await asyncio.sleep(0)
    state.job_exited()
    assert await asyncio.wait_for(waiting, DEADLINE) == changes.tag()


async def test_wait_without_change_ends_at_deadline(state: PodState) -> None:
    changes = StateChanges(state)
    assert await asyncio.wait_for(changes.wait_for_change(changes.tag(), 0.01), DEADLINE) == changes.tag()
