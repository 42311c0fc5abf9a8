"""The life of one pod: bind, keep a job in the room, end."""

import asyncio
from dataclasses import replace

import pytest
from voicesession_agent.memory.backend import MemoryAddress
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.pod_state import JobPhase, PodPhase
from voicesession_agent.supervisor.reset import Outcome
from voicesession_agent.supervisor.supervisor import GaveUpError

from tests.support.fakes.supervisor_world import DEADLINE, TOKEN, SupervisorWorld, desired


async def test_state_set_while_preparing_starts_job_when_prepared(world: SupervisorWorld) -> None:
    await world.supervisor.set_desired_state(desired())
    await asyncio.sleep(0)
    assert world.jobs.orders == []
    await world.supervisor.prepared()
    await world.started(1)
    order = world.jobs.orders[0]
    assert (order.launch, order.room, order.url, order.token) == (1, "vs-1", "ws://x", TOKEN)
    assert world.state.job is JobPhase.STARTING


async def test_repeated_state_launches_no_job(world: SupervisorWorld) -> None:
    await world.supervisor.prepared()
    for _ in range(3):
        await world.supervisor.set_desired_state(desired())
    await world.started(1)
    await world.settle()
    assert len(world.jobs.orders) == 1


async def test_next_process_is_prepared_after_join(world: SupervisorWorld) -> None:
    await world.supervisor.prepared()
    await world.supervisor.set_desired_state(desired())
    await world.started(1)
    assert world.jobs.asked_to_prepare == 0
    await world.joined(1)
    assert world.jobs.asked_to_prepare == 1


async def test_repeated_join_report_counts_once(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.joined(1)
    assert world.jobs.asked_to_prepare == 1


async def test_dead_job_is_relaunched_with_same_token(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    world.now += 60
    job.die()
    await world.started(2)
    assert world.jobs.orders[1].token == TOKEN
    assert world.notify == [(JobPhase.EXITED, False)]
    assert world.state.render()["job"]["restarts"] == 1
    assert world.state.render()["reset"] is None


async def test_longer_token_of_same_epoch_is_used_by_next_job(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.supervisor.set_desired_state(replace(desired(), token=TOKEN * 2))
    await world.settle()
    assert len(world.jobs.orders) == 1, "a token starts no job"
    world.now += 60
    job.die()
    await world.started(2)
    assert world.jobs.orders[1].token == TOKEN * 2


async def test_reports_of_earlier_job_are_ignored(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    world.now += 60
    job.die()
    await world.joined(2)
    await world.report(2, "humans", identities=["alice"])
    await world.report(1, "joined", sid="PA_1")
    await world.report(1, "humans", identities=[])
    await world.report(1, "left", identity="alice", reason="CLIENT_INITIATED", at=1.0)
    assert world.state.participant_sid == "PA_2"
    assert world.state.humans == ("alice",)


@pytest.mark.parametrize("step", [60.0, -60.0])
async def test_step_of_clock_does_not_change_duration_of_reset(world: SupervisorWorld, step: float) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    world.step = step
    await world.joined(2)
    assert world.state.reset is not None
    assert (world.state.reset.outcome, world.state.reset.milliseconds) == (Outcome.COMPLETE, 0)


async def test_repeatedly_dying_jobs_end_pod(world: SupervisorWorld) -> None:
    world.jobs.failing = True
    await world.supervisor.prepared()
    await world.supervisor.set_desired_state(desired())
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(GaveUpError):
            await world.running
    assert len(world.jobs.orders) == 5


async def test_refusing_room_keeps_pod(world: SupervisorWorld) -> None:
    await world.supervisor.prepared()
    await world.supervisor.set_desired_state(desired())
    for launch in (1, 2, 3):
        job = await world.started(launch)
        await world.report(launch, "trouble", text="cannot join the room")
        await world.report(launch, "refused")
        job.die()
    await world.started(4)
    assert world.state.trouble == "cannot join the room"
    await world.joined(4)
    assert world.state.trouble == ""


async def test_job_out_of_room_is_replaced_before_process_exits(world: SupervisorWorld) -> None:
    await world.first_joined()
    world.now += 60
    await world.report(1, "gone", reason="PARTICIPANT_REMOVED")
    await world.started(2)
    assert await asyncio.wait_for(world.supervisor.wait_until_dismissed(1), DEADLINE) == "reset"
    await world.report(1, "gone", reason="CLIENT_INITIATED")
    await world.settle()
    assert len(world.jobs.orders) == 2


async def test_superseded_job_waits_before_restart(world: SupervisorWorld) -> None:
    await world.first_joined()
    world.now += 60
    await world.report(1, "gone", reason="DUPLICATE_IDENTITY")
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    await world.settle()
    assert len(world.jobs.orders) == 1
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.started(2)


async def test_end_dismisses_job_without_successor(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.supervisor.end()
    assert await asyncio.wait_for(world.supervisor.wait_until_dismissed(1), DEADLINE) == "leave"
    job.die()
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    assert world.state.phase is PodPhase.ENDED
    await world.settle()
    assert len(world.jobs.orders) == 1


async def test_memory_address_may_arrive_later(world: SupervisorWorld) -> None:
    await world.supervisor.set_desired_state(desired())
    address = MemoryAddress("http://letta", "agent-1")
    await world.supervisor.set_desired_state(DesiredState("u1", 1, "vs-1", "ws://x", TOKEN, memory=address))
    assert [w.memory for w in world.memory.desired] == [None, address]


async def test_state_of_earlier_epoch_is_ignored(world: SupervisorWorld) -> None:
    address = MemoryAddress("http://letta", "agent-1")
    now = DesiredState("u1", 2, "vs-1", "ws://x", TOKEN, memory=address, capture=True)
    await world.supervisor.set_desired_state(now)
    late = DesiredState("u1", 1, "vs-1", "ws://x", TOKEN, memory=address, read_only=True)
    await world.supervisor.set_desired_state(late)
    assert (world.state.desired, world.memory.desired) == (now, [now])


async def test_higher_epoch_after_end_starts_no_job(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.end()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.settle()
    assert len(world.jobs.orders) == 1
    assert world.state.render()["reset"] is None


async def test_close_dismisses_job(world: SupervisorWorld) -> None:
    await world.supervisor.close()
    assert await asyncio.wait_for(world.supervisor.wait_until_dismissed(1), DEADLINE) == "leave"
    assert world.jobs.closed


async def test_reports_of_humans_speech_and_leaves_update_state(world: SupervisorWorld) -> None:
    await world.first_joined()
    world.now = 110.0
    await world.report(1, "humans", identities=["alice"])
    assert world.state.render()["activeAt"] == 110.0
    world.now = 120.0
    await world.report(1, "active")
    assert world.memory.spoken == 1
    await world.report(1, "left", identity="alice", reason="CLIENT_INITIATED", at=130.0)
    state = world.state.render()
    assert (state["humans"], state["activeAt"]) == ([], 120.0)
    assert state["lastHumanLeft"]["at"] == 130.0


@pytest.mark.parametrize("report", [{"kind": "nonsense"}, {"kind": "joined"}, {}, {"kind": "beat", "health": {}}])
async def test_malformed_reports_raise(world: SupervisorWorld, report: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        await world.reports.handle(report)


async def test_ended_session_has_no_next_job(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.report(1, "ended")
    job.die()
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    await world.settle()
    shown = world.state.render()
    assert (shown["state"], shown["endedEpoch"], len(world.jobs.jobs)) == ("Ended", 1, 1)
    assert not job.killed
    assert world.jobs.asked_to_prepare == 1, "after the join only"


async def test_job_of_ended_session_is_not_dismissed(world: SupervisorWorld) -> None:
    await world.first_joined()
    dismissal = asyncio.create_task(world.supervisor.wait_until_dismissed(1))
    await world.report(1, "ended")
    await world.settle()
    assert not dismissal.done(), "its shutdown callbacks and its entry point are still running"
    dismissal.cancel()


async def test_crash_is_no_end_of_session(world: SupervisorWorld) -> None:
    (await world.first_joined()).die()
    await world.started(2)
    assert world.state.render()["endedEpoch"] == 0


async def test_dismissed_job_cannot_end_session(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.report(1, "ended")
    assert world.state.render()["endedEpoch"] == 0
    await world.joined(2)


async def test_reset_after_end_by_agent_starts_next_conversation(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.report(1, "ended")
    job.die()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.joined(2)
    shown = world.state.render()
    assert (shown["state"], shown["endedEpoch"]) == ("Bound", 0)


async def test_no_process_is_prewarmed_for_teardown(world: SupervisorWorld) -> None:
    await world.supervisor.prepared()
    await world.supervisor.set_desired_state(replace(desired(), prewarm=False))
    job = await world.joined(1)
    assert world.jobs.asked_to_prepare == 0
    job.die()
    await world.joined(2)
    assert world.jobs.asked_to_prepare == 1, "after the crash only"


async def test_close_gives_job_time_to_end(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    world.running.cancel()
    await asyncio.gather(world.running, return_exceptions=True)
    closing = asyncio.create_task(world.supervisor.close())
    await world.until(lambda: world.state.ended)
    await world.report(1, "dismissed")
    await world.settle()
    assert (closing.done(), world.jobs.closed) == (False, False)
    job.die()
    await asyncio.wait_for(closing, DEADLINE)
    assert (job.killed, job.programs_ended, world.jobs.closed) == (False, True, True)
