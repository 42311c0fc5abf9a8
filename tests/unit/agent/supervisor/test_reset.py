"""A reset inside the pod: a new job beside the old one, with interruptions at every step."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.supervisor.pod_state import JobPhase, PodPhase
from voicesession_agent.supervisor.reset import TOTAL_SECONDS, JobTimings
from voicesession_agent.supervisor.supervisor import GaveUpError

from tests.support.fakes.supervisor_world import DEADLINE, FakeMemory, SupervisorWorld, desired

short_deadlines = pytest.mark.parametrize(
    "timings", [JobTimings(old_job_seconds=0.02, join_seconds=0.02)], ids=["short deadlines"]
)
STEPS = ("last_human_left", "reset_started", "memory_reloaded", "reset_complete", "background_cancelled")


class Remembering(FakeMemory):
    """Memory that records reloads, as in a pod without memory."""

    def __init__(self) -> None:
        super().__init__()
        nowhere: Any = None
        self._real = MemorySync(nowhere, lambda _: None, lambda: None)

    def reload(self) -> None:
        self._real.reload()


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [str(vars(record).get("event")) for record in caplog.records]


async def test_reset_starts_new_job_before_old_exits(world: SupervisorWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    old = await world.first_joined()
    going = asyncio.create_task(world.supervisor.wait_until_dismissed(1))
    world.now = 200.0
    await world.supervisor.set_desired_state(desired(epoch=2, cause="LastHumanLeft"))
    state = world.state.render()
    assert (state["epoch"], state["job"]["epoch"], state["job"]["participantSID"]) == (2, 1, "")
    assert state["reset"] == {"epoch": 2, "cause": "LastHumanLeft", "milliseconds": None, "outcome": "Running"}
    await world.started(2)
    assert await asyncio.wait_for(going, DEADLINE) == "reset"
    assert not old.killed
    world.now = 200.212
    await world.joined(2)
    state = world.state.render()
    assert (state["job"]["epoch"], state["job"]["participantSID"], state["job"]["restarts"]) == (2, "PA_2", 0)
    assert state["reset"]["milliseconds"] == 212
    assert state["reset"]["outcome"] == "Complete"
    assert world.memory.reloads == 1
    await world.report(1, "background_cancelled", ms=40, tools=1)
    expected = ["reset_started", "job_starts", "joined", "reset_complete", "background_cancelled"]
    assert [e for e in events(caplog) if e in expected][-5:] == expected


async def test_reset_steps_are_logged_with_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = SupervisorWorld(memory=Remembering())
    await world.first_joined()
    await world.report(1, "humans", identities=["alice"])
    world.now = 200.04
    await world.report(1, "left", identity="alice", reason="CLIENT_INITIATED", at=200.0)
    world.now = 200.1
    await world.supervisor.set_desired_state(desired(epoch=2, cause="LastHumanLeft"))
    await world.started(2)
    world.now = 200.312
    await world.joined(2)
    await world.report(1, "background_cancelled", ms=55, tools=0)
    await world.end()
    took = {vars(r)["event"]: vars(r).get("ms") for r in caplog.records if "event" in vars(r)}
    assert {name: took.get(name) for name in STEPS} == {
        "last_human_left": 40,
        "reset_started": 100,
        "memory_reloaded": 0,
        "reset_complete": 212,
        "background_cancelled": 55,
    }


async def test_reset_before_leave_report_logs_every_step(
    world: SupervisorWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await world.first_joined()
    await world.report(1, "humans", identities=["alice"])
    await world.supervisor.set_desired_state(desired(epoch=2, cause="LastHumanLeft"))
    await world.report(1, "left", identity="alice", reason="CLIENT_INITIATED", at=world.now)
    assert events(caplog)[-1] == "last_human_left"
    assert world.state.last_human_left is None


async def test_reset_without_leave_is_logged_with_zero_milliseconds(
    world: SupervisorWorld, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2, cause="Requested"))
    assert [vars(r)["ms"] for r in caplog.records if vars(r).get("event") == "reset_started"] == [0]


async def test_reset_clears_conversation_from_state(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.report(1, "humans", identities=["alice"])
    await world.report(1, "greeted", identity="alice")
    await world.report(1, "left", identity="alice", reason="CLIENT_INITIATED", at=101.0)
    await world.supervisor.set_desired_state(desired(epoch=2))
    for kind, facts in (("greeted", {"identity": "bob"}), ("humans", {"identities": ["bob"]}), ("active", {})):
        await world.report(1, kind, **facts)
    state = world.state.render()
    assert (world.state.greeted, state["humans"], state["lastHumanLeft"], state["activeAt"]) == (set(), [], None, None)


async def test_greeted_humans_survive_job_crash(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.report(1, "greeted", identity="alice")
    world.now += 60
    job.die()
    await world.started(2)
    assert world.state.greeted == {"alice"}


@short_deadlines
async def test_old_job_past_deadline_is_killed(world: SupervisorWorld, caplog: pytest.LogCaptureFixture) -> None:
    old = await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    new = await world.joined(2)
    await world.until(lambda: old.programs_ended)
    await world.settle()
    assert old.killed
    assert not new.killed
    assert events(caplog).count("job_killed") == 1


@pytest.mark.parametrize("timings", [JobTimings(old_job_seconds=0.02, shutdown_seconds=3600)], ids=["long callbacks"])
async def test_answering_old_job_has_time_for_callbacks(world: SupervisorWorld) -> None:
    old = await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.report(1, "dismissed")
    await world.joined(2)
    await asyncio.sleep(0.1)
    assert not old.killed
    old.die()
    await world.until(lambda: old.programs_ended)


@short_deadlines
async def test_old_job_is_kept_until_successor_starts(world: SupervisorWorld) -> None:
    old = await world.first_joined()
    world.jobs.process_there.clear()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await asyncio.sleep(0.1)
    assert not old.killed
    world.jobs.process_there.set()
    await world.until(lambda: old.killed)


async def test_resets_before_launch_start_single_job(world: SupervisorWorld) -> None:
    await world.first_joined()
    world.jobs.process_there.clear()
    for epoch in (2, 3, 4):
        await world.supervisor.set_desired_state(desired(epoch=epoch))
        await world.settle()
    world.jobs.process_there.set()
    await world.joined(2)
    await world.settle()
    state = world.state.render()
    assert (len(world.jobs.jobs), state["job"]["epoch"], state["job"]["participantSID"]) == (2, 4, "PA_2")
    assert (state["reset"]["epoch"], state["reset"]["outcome"]) == (4, "Complete")


async def test_joining_job_serves_next_epoch(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.started(2)
    world.now = 101.0
    await world.supervisor.set_desired_state(desired(epoch=3))
    world.now = 101.1
    await world.joined(2)
    await world.settle()
    assert len(world.jobs.jobs) == 2
    assert world.state.render()["reset"]["milliseconds"] == 100
    job = world.state.render()["job"]
    assert (job["epoch"], job["participantEpoch"]) == (3, "2"), "it joined with the token of epoch 2"


async def test_joining_job_with_greeted_humans_is_killed_for_reset(world: SupervisorWorld) -> None:
    job = await world.first_joined()
    await world.report(1, "greeted", identity="alice")
    world.now += 60
    job.die()
    joining = await world.started(2)
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.started(3)
    assert joining.killed


@short_deadlines
async def test_late_new_job_is_killed_and_replaced(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    late = await world.started(2)
    world.now += 1
    await world.until(lambda: late.killed)
    assert world.state.render()["reset"]["outcome"] == "Escalated"
    await world.joined(3)
    assert world.state.render()["reset"]["outcome"] == "Complete"


@short_deadlines
async def test_incomplete_reset_ends_pod(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.started(2)
    world.now += TOTAL_SECONDS
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(GaveUpError):
            await world.running
    assert world.state.render()["reset"]["outcome"] == "Escalated"


@pytest.mark.parametrize("timings", [JobTimings(total_seconds=0.02)], ids=["short reset"])
async def test_reset_without_process_ends_pod(world: SupervisorWorld) -> None:
    await world.first_joined()
    world.jobs.process_there.clear()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.until(lambda: len(world.jobs.orders) >= 2)
    world.now += 1
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(GaveUpError):
            await world.running
    assert world.state.render()["reset"]["outcome"] == "Escalated"


async def test_end_overrides_reset(world: SupervisorWorld) -> None:
    old = await world.first_joined()
    world.jobs.process_there.clear()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.until(lambda: len(world.jobs.orders) == 2)
    await world.supervisor.end()
    assert await asyncio.wait_for(world.supervisor.wait_until_dismissed(1), DEADLINE) == "leave"
    world.jobs.process_there.set()
    new = await world.started(2)
    assert await asyncio.wait_for(world.supervisor.wait_until_dismissed(2), DEADLINE) == "leave"
    old.die()
    new.die()
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    assert world.state.phase is PodPhase.ENDED
    await world.settle()
    assert len(world.jobs.orders) == 2


async def test_end_after_reset_starts_no_job(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.supervisor.end()
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    assert len(world.jobs.orders) == 1


async def test_human_joining_during_reset_is_seen_by_new_job(world: SupervisorWorld) -> None:
    await world.first_joined()
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.report(1, "humans", identities=["alice"])
    await world.joined(2)
    world.now = 150.0
    await world.report(2, "humans", identities=["alice"])
    state = world.state.render()
    assert (state["humans"], state["lastHumanLeft"], state["activeAt"]) == (["alice"], None, 150.0)


async def test_higher_epoch_before_first_job_starts_single_job(world: SupervisorWorld) -> None:
    await world.supervisor.set_desired_state(desired(epoch=1))
    await world.supervisor.set_desired_state(desired(epoch=2))
    await world.supervisor.prepared()
    await world.joined(1)
    state = world.state.render()
    assert (state["job"]["epoch"], state["reset"]["outcome"], len(world.jobs.jobs)) == (2, "Complete", 1)


@pytest.mark.parametrize("timings", [JobTimings(total_seconds=0.0, cold_total_seconds=3600)], ids=["long cold reset"])
async def test_reset_without_prewarmed_job_has_time_to_load_models(world: SupervisorWorld) -> None:
    await world.supervisor.prepared()
    await world.supervisor.set_desired_state(replace(desired(), prewarm=False))
    await world.joined(1)
    await world.supervisor.set_desired_state(replace(desired(epoch=2), prewarm=False))
    await world.joined(2)
    assert world.state.render()["reset"]["outcome"] == "Complete"
