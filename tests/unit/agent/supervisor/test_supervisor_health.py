"""The supervisor's reaction to missing heartbeats and unhealthy reports: the next job, or the end of the pod."""

import asyncio

import pytest
from voicesession_agent.health.diagnosis import BASIC_PROOF_SECONDS, SPEECH_PROOF_SECONDS, HealthReport, Problem
from voicesession_agent.metrics import Metrics
from voicesession_agent.supervisor.pod_state import JobPhase
from voicesession_agent.supervisor.reset import JobTimings
from voicesession_agent.supervisor.supervisor import GaveUpError

from tests.support.fakes.supervisor_world import DEADLINE, SupervisorWorld, desired

quick_heartbeats = pytest.mark.parametrize("timings", [JobTimings(beat_seconds=0.002)], ids=["quick heartbeats"])


async def send_heartbeat(world: SupervisorWorld, launch: int, health: HealthReport) -> None:
    await world.report(launch, "beat", health=health.to_json())


async def pass_silence(world: SupervisorWorld, seconds: float) -> None:
    """Let the supervisor wait for the given seconds without a heartbeat."""
    for _ in range(round(seconds)):
        world.now += 1
        await asyncio.sleep(0.01)


@quick_heartbeats
async def test_job_without_heartbeats_is_killed_and_replaced(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await pass_silence(world, 4)
    assert not job.killed
    await pass_silence(world, 3)
    await world.until(lambda: job.killed)
    await world.started(2)
    state = world.state.render()
    assert state["health"] == {"state": "Stuck", "message": "the job does not respond", "remedies": 1}
    assert state["job"]["participantSID"] == ""
    assert world.notify == [(JobPhase.JOINED, True)]
    assert 'voicesession_agent_health_restarts_total{state="Stuck"} 1.0' in world.metrics.render().decode()


@quick_heartbeats
async def test_heartbeats_keep_job_alive(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    for _ in range(4):
        await pass_silence(world, 3)
        await send_heartbeat(world, 1, HealthReport())
    assert not job.killed


@quick_heartbeats
async def test_wait_for_process_is_not_missing_heartbeat(world: SupervisorWorld) -> None:
    world.jobs.process_there.clear()
    await world.supervisor.prepared()
    await world.supervisor.set_desired_state(desired())
    await pass_silence(world, 10)
    world.jobs.process_there.set()
    await world.joined(1)
    assert world.state.render()["health"]["state"] == "Ok"


@pytest.mark.parametrize(
    ("health", "state", "message"),
    [
        (HealthReport(unheard=10.0), "Deaf", "a human speaks and the agent hears nothing"),
        (HealthReport(inaudible=4.0), "Mute", "the agent speaks and nobody can hear it"),
        (HealthReport(muted=True), "Mute", "the agent speaks and nobody can hear it"),
        (HealthReport(failing="stt x: RuntimeError", broken=True), "ProviderFailing", "stt x: RuntimeError"),
        (
            HealthReport(lost=20.0),
            "Disconnected",
            "LiveKit answers, but the agent does not get its connection to the room back",
        ),
    ],
)
async def test_problem_starts_next_job_before_the_old_ends(
    world: SupervisorWorld, health: HealthReport, state: str, message: str
) -> None:
    old = await world.first_joined()
    await send_heartbeat(world, 1, health)
    await world.started(2)
    assert await asyncio.wait_for(world.supervisor.wait_until_dismissed(1), DEADLINE) == "reset"
    assert not old.killed
    assert world.state.render()["health"] == {"state": state, "message": message, "remedies": 1}
    assert world.state.render()["reset"] is None


@pytest.mark.parametrize(
    ("health", "seconds"),
    [
        (HealthReport(muted=True), SPEECH_PROOF_SECONDS),
        (HealthReport(unheard=10.0), SPEECH_PROOF_SECONDS),
        (HealthReport(failing="llm", broken=True), SPEECH_PROOF_SECONDS),
        (HealthReport(lost=20.0), BASIC_PROOF_SECONDS),
    ],
)
async def test_health_is_ok_after_proof_of_next_job(
    world: SupervisorWorld, health: HealthReport, seconds: float
) -> None:
    await world.first_joined()
    await send_heartbeat(world, 1, health)
    await world.joined(2)
    world.now += seconds - 0.1
    await send_heartbeat(world, 2, HealthReport())
    assert world.state.render()["health"]["state"] != "Ok"
    world.now += 0.1
    await send_heartbeat(world, 1, health)
    await send_heartbeat(world, 2, HealthReport())
    assert world.state.render()["health"] == {"state": "Ok", "message": "", "remedies": 1}


async def test_failed_turn_of_next_job_delays_ok(world: SupervisorWorld) -> None:
    await world.first_joined()
    await send_heartbeat(world, 1, HealthReport(failing="llm", broken=True))
    await world.joined(2)
    world.now += 600
    await send_heartbeat(world, 2, HealthReport(failed=True))
    assert world.state.render()["health"]["state"] == "ProviderFailing"
    await send_heartbeat(world, 2, HealthReport())
    assert world.state.render()["health"]["state"] == "Ok"


async def test_failing_provider_keeps_job_and_heals_with_next_success(
    world: SupervisorWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Another job has the same provider, and no conversation."""
    await world.first_joined()
    world.now += SPEECH_PROOF_SECONDS
    for turns in range(3, 30):
        await send_heartbeat(world, 1, HealthReport(failing=f"llm openai: timeout, {turns} turns", failed=True))
        await world.settle()
    expected = {"state": "ProviderFailing", "message": "llm openai: timeout, 29 turns", "remedies": 0}
    assert world.state.render()["health"] == expected
    assert [record.getMessage() for record in caplog.records].count("the job is unhealthy") == 1
    assert len(world.jobs.jobs) == 1
    await send_heartbeat(world, 1, HealthReport())
    assert world.state.render()["health"] == {"state": "Ok", "message": "", "remedies": 0}
    await send_heartbeat(world, 1, HealthReport(muted=True))
    await world.started(2)


MESSAGES = [["user", "My favorite color is blue."], ["assistant", "Nice."]]


@pytest.mark.parametrize("end", ["unhealthy", "dead"])
async def test_history_outlives_job_without_reset(world: SupervisorWorld, end: str) -> None:
    job = await world.first_joined()
    await world.report(1, "history", messages=MESSAGES)
    if end == "dead":
        job.die()
    else:
        await send_heartbeat(world, 1, HealthReport(muted=True))
    await world.joined(2)
    assert [message.to_json() for message in world.state.history] == MESSAGES
    await world.report(1, "history", messages=[])
    assert world.state.history, "the earlier job has no say any more"
    assert "blue" not in str(world.state.render())


async def test_history_ends_with_reset(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.report(1, "history", messages=MESSAGES)
    await world.supervisor.set_desired_state(desired(epoch=2, cause="Requested"))
    await world.report(1, "history", messages=MESSAGES)
    await world.joined(2)
    assert (world.state.history, world.state.summary) == ((), "")


async def test_starting_job_with_history_does_not_serve_reset(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.report(1, "history", messages=MESSAGES)
    job.die()
    await world.started(2)
    await world.supervisor.set_desired_state(desired(epoch=2, cause="Requested"))
    await world.started(3)


async def test_second_deaf_job_keeps_conversation(world: SupervisorWorld) -> None:
    """Voice detection may take a sound for speech; no job recognizes words in it, and no pod does."""
    await world.first_joined()
    await send_heartbeat(world, 1, HealthReport(unheard=10.0))
    await world.joined(2)
    world.now += SPEECH_PROOF_SECONDS
    await send_heartbeat(world, 2, HealthReport())
    for _ in range(9):
        world.now += 60
        await send_heartbeat(world, 2, HealthReport(unheard=10.0))
        await world.settle()
        assert world.state.render()["health"]["state"] == "Deaf"
    assert (len(world.jobs.jobs), world.state.render()["health"]["remedies"]) == (2, 1)
    await send_heartbeat(world, 2, HealthReport())
    assert world.state.render()["health"]["state"] == "Ok"
    await send_heartbeat(world, 2, HealthReport(muted=True))
    await world.started(3)


async def test_exhausted_restart_budget_ends_pod(world: SupervisorWorld) -> None:
    await world.first_joined()
    for launch in (1, 2, 3, 4):
        await send_heartbeat(world, launch, HealthReport(muted=True))
        if launch < 4:
            await world.joined(launch + 1)
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(GaveUpError):
            await world.running
    assert world.state.render()["health"]["remedies"] == 3
    last = world.jobs.jobs[-1]
    last.die()
    await world.supervisor.close()
    assert last.programs_ended


async def test_problem_of_ending_pod_is_ignored(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.end()
    await send_heartbeat(world, 1, HealthReport(muted=True))
    await world.settle()
    assert len(world.jobs.orders) == 1
    assert world.state.render()["health"]["state"] == "Ok"


async def test_speech_in_heartbeat_is_activity(world: SupervisorWorld) -> None:
    await world.first_joined()
    world.now = 300.0
    await send_heartbeat(world, 1, HealthReport(speaking=True))
    assert world.state.render()["activeAt"] == 300.0


def test_unhealthy_metric_has_label_for_each_problem() -> None:
    def zero() -> float:
        return 0.0

    metrics = Metrics()
    metrics.watch(backlog=zero, memory_ok=zero, humans=zero, joined=zero, problem=lambda: Problem.DEAF)
    rendered = metrics.render().decode()
    for problem in Problem:
        assert f'voicesession_agent_unhealthy{{state="{problem.value}"}}' in rendered
