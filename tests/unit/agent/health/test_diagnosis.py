"""What is wrong with a job, and the new job that is tried against it."""

import asyncio

import pytest
from voicesession_agent.health.diagnosis import PROVED_SECONDS, WORKS_SECONDS, HealthReport, Problem
from voicesession_agent.supervisor import supervisor as supervisor_module
from voicesession_agent.supervisor.pod_state import JobPhase
from voicesession_agent.supervisor.supervisor import GaveUpError

from tests.support.fakes.supervisor_world import DEADLINE, World, wanted

LONGEST_POLL_SECONDS = 12.0
"""Of the operator: 10 s, give or take a fifth."""


@pytest.fixture
def quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "BEAT_SECONDS", 0.002)


async def beat(world: World, launch: int, vitals: HealthReport) -> None:
    await world.report(launch, "beat", vitals=vitals.to_json())


async def silence(world: World, seconds: float) -> None:
    """The supervisor listens for so long and hears nothing."""
    for _ in range(round(seconds)):
        world.now += 1
        await asyncio.sleep(0.01)


async def test_a_job_that_sends_no_beat_is_killed_and_the_next_one_started(world: World, quick_beats: None) -> None:
    job = await world.first_joined()
    await silence(world, 4)
    assert not job.killed
    await silence(world, 3)
    await world.until(lambda: job.killed)
    await world.started(2)
    state = world.state.render()
    assert state["health"] == {"state": "Stuck", "message": "the job does not respond", "remedies": 1}
    assert state["job"]["participantSID"] == ""
    assert world.published == [(JobPhase.JOINED, True)]
    assert 'voicesession_agent_health_restarts_total{state="Stuck"} 1.0' in world.metrics.render().decode()


async def test_beats_keep_a_job_alive(world: World, quick_beats: None) -> None:
    job = await world.first_joined()
    for _ in range(4):
        await silence(world, 3)
        await beat(world, 1, HealthReport())
    assert not job.killed


async def test_waiting_for_a_process_is_no_silence(world: World, quick_beats: None) -> None:
    world.jobs.process_there.clear()
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await silence(world, 10)
    world.jobs.process_there.set()
    await world.joined(1)
    assert world.state.render()["health"]["state"] == "Ok"


@pytest.mark.parametrize(
    ("vitals", "state", "message"),
    [
        (HealthReport(unheard=10.0), "Deaf", "a human speaks and the agent hears nothing"),
        (HealthReport(inaudible=4.0), "Mute", "the agent speaks and nobody can hear it"),
        (HealthReport(muted=True), "Mute", "the agent speaks and nobody can hear it"),
        (HealthReport(failing="llm"), "ProviderFailing", "llm"),
        (HealthReport(lost=10.0), "Disconnected", "the connection to the room was lost"),
    ],
)
async def test_problem_found_starts_next_job_beside_the_old(
    world: World, vitals: HealthReport, state: str, message: str
) -> None:
    old = await world.first_joined()
    await beat(world, 1, vitals)
    await world.started(2)
    assert await asyncio.wait_for(world.supervisor.departure(1), DEADLINE) == "reset"
    assert not old.killed
    assert world.state.render()["health"] == {"state": state, "message": message, "remedies": 1}
    assert world.state.render()["reset"] is None


@pytest.mark.parametrize(
    ("vitals", "seconds"),
    [
        (HealthReport(muted=True), PROVED_SECONDS),
        (HealthReport(unheard=10.0), PROVED_SECONDS),
        (HealthReport(failing="llm"), PROVED_SECONDS),
        (HealthReport(lost=10.0), WORKS_SECONDS),
    ],
)
async def test_health_is_ok_again_when_the_next_job_has_worked_for_a_while(
    world: World, vitals: HealthReport, seconds: float
) -> None:
    await world.first_joined()
    await beat(world, 1, vitals)
    await world.joined(2)
    world.now += seconds - 0.1
    await beat(world, 2, HealthReport())
    assert world.state.render()["health"]["state"] != "Ok"
    world.now += 0.1
    await beat(world, 1, vitals)
    await beat(world, 2, HealthReport())
    assert world.state.render()["health"] == {"state": "Ok", "message": "", "remedies": 1}


async def test_a_job_in_whose_turns_something_fails_does_not_work_again(world: World) -> None:
    await world.first_joined()
    await beat(world, 1, HealthReport(failing="llm"))
    await world.joined(2)
    world.now += 600
    await beat(world, 2, HealthReport(failed=True))
    assert world.state.render()["health"]["state"] == "ProviderFailing"
    await beat(world, 2, HealthReport())
    assert world.state.render()["health"]["state"] == "Ok"


def test_what_shows_in_turns_only_is_told_for_longer_than_the_operators_poll() -> None:
    assert PROVED_SECONDS > LONGEST_POLL_SECONDS


async def test_a_budget_and_then_the_pod_gives_up(world: World) -> None:
    await world.first_joined()
    for launch in (1, 2, 3, 4):
        await beat(world, launch, HealthReport(failing="tts"))
        if launch < 4:
            await world.joined(launch + 1)
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(GaveUpError):
            await world.running
    assert world.state.render()["health"]["remedies"] == 3


async def test_what_goes_wrong_while_the_pod_ends_is_left_alone(world: World) -> None:
    await world.first_joined()
    await world.supervisor.tell(wanted(end=True))
    await beat(world, 1, HealthReport(muted=True))
    await world.settle()
    assert len(world.jobs.orders) == 1
    assert world.state.render()["health"]["state"] == "Ok"


async def test_speech_in_a_beat_is_activity(world: World) -> None:
    await world.first_joined()
    world.now = 300.0
    await beat(world, 1, HealthReport(speaking=True))
    assert world.state.render()["activeAt"] == 300.0


def test_what_is_wrong_is_a_bounded_label(world_metrics: bytes) -> None:
    for problem in Problem:
        assert f'voicesession_agent_unhealthy{{state="{problem.value}"}}' in world_metrics.decode()


@pytest.fixture
def world_metrics() -> bytes:
    from voicesession_agent.metrics import Metrics  # noqa: PLC0415 - only this test watches metrics

    metrics = Metrics()
    zero = lambda: 0.0  # noqa: E731 - five times the same
    metrics.watch(backlog=zero, memory_ok=zero, humans=zero, joined=zero, problem=lambda: Problem.DEAF)
    return metrics.render()
