"""One pod's life with a job server that does what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from voicesession_agent.state import HumanLeft, JobPhase, Phase, PodState
from voicesession_agent.supervisor import GaveUpError, Supervisor
from voicesession_agent.telemetry import Metrics
from voicesession_agent.wanted import MemoryAddress, Wanted

TOKEN = "t"  # noqa: S105
DEADLINE = 5.0


class FakeJobs:
    """Jobs that run until `die` is called."""

    def __init__(self) -> None:
        self.launched: list[tuple[str, str, str]] = []
        self.failing = False
        self.closed = False
        self._dead = asyncio.Event()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def launch(self, room: str, url: str, token: str) -> None:
        self.launched.append((room, url, token))
        if self.failing:
            raise RuntimeError
        self._dead.clear()

    async def ended(self) -> None:
        await self._dead.wait()

    def die(self) -> None:
        self._dead.set()

    async def close(self) -> None:
        self.closed = True


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.jobs = FakeJobs()
        self.memory: list[MemoryAddress | None] = []
        self.state = PodState("pod-1", process_started=99.0)
        self.supervisor = Supervisor(
            self.state, self.jobs, Metrics(), lambda address, _: self.memory.append(address), lambda: self.now
        )
        self.running = asyncio.create_task(self.supervisor.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - the code under test tells nobody
                await asyncio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    made.running.cancel()
    with suppress(asyncio.CancelledError, GaveUpError):
        await made.running


def wanted(epoch: int = 0, end: bool = False) -> Wanted:
    return Wanted(session_uid="u1", epoch=epoch, room_name="vs-1", room_url="ws://x", token=TOKEN, end=end)


async def test_told_while_preparing_starts_when_prepared(world: World) -> None:
    await world.supervisor.tell(wanted())
    await asyncio.sleep(0)
    assert world.jobs.launched == []
    await world.supervisor.prepared()
    await world.until(lambda: world.jobs.launched == [("vs-1", "ws://x", TOKEN)])
    assert world.state.job is JobPhase.STARTING


async def test_told_again_launches_nothing(world: World) -> None:
    await world.supervisor.prepared()
    for _ in range(3):
        await world.supervisor.tell(wanted())
    await world.until(lambda: bool(world.jobs.launched))
    await asyncio.sleep(0.01)
    assert len(world.jobs.launched) == 1


async def test_a_dead_job_is_relaunched_with_the_same_token(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await world.until(lambda: len(world.jobs.launched) == 1)
    world.supervisor.joined(1, "PA_1")
    world.now += 60
    world.jobs.die()
    await world.until(lambda: len(world.jobs.launched) == 2)
    assert world.jobs.launched[1][2] == TOKEN
    assert world.state.render()["job"]["restarts"] == 1


async def test_reports_of_an_earlier_job_are_ignored(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await world.until(lambda: len(world.jobs.launched) == 1)
    world.now += 60
    world.jobs.die()
    await world.until(lambda: len(world.jobs.launched) == 2)
    world.supervisor.joined(2, "PA_2")
    world.supervisor.humans(2, ("alice",))
    world.supervisor.joined(1, "PA_1")
    world.supervisor.humans(1, ())
    world.supervisor.human_left(1, HumanLeft("alice", "CLIENT_INITIATED", 1.0))
    assert world.state.participant_sid == "PA_2"
    assert world.state.humans == ("alice",)


async def test_jobs_that_keep_dying_end_the_pod(world: World) -> None:
    world.jobs.failing = True
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(GaveUpError):
            await world.running
    assert len(world.jobs.launched) == 5


async def test_a_room_that_refuses_does_not_end_the_pod(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    for launch in (1, 2, 3):
        await world.until(lambda launch=launch: len(world.jobs.launched) == launch)  # type: ignore[misc]
        world.supervisor.job_troubled(launch, "cannot join the room")
        world.supervisor.refused(launch)
        world.jobs.die()
    await world.until(lambda: len(world.jobs.launched) == 4)
    assert world.state.trouble == "cannot join the room"
    world.supervisor.joined(4, "PA_4")
    assert world.state.trouble == ""


async def test_a_job_out_of_its_room_is_replaced_though_its_process_lingers(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await world.until(lambda: len(world.jobs.launched) == 1)
    world.supervisor.joined(1, "PA_1")
    world.now += 60
    world.supervisor.gone(1, "PARTICIPANT_REMOVED")
    await world.until(lambda: len(world.jobs.launched) == 2)
    world.supervisor.gone(1, "CLIENT_INITIATED")
    await asyncio.sleep(0.01)
    assert len(world.jobs.launched) == 2


async def test_a_superseded_job_does_not_fight_back(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await world.until(lambda: len(world.jobs.launched) == 1)
    world.now += 60
    world.supervisor.gone(1, "DUPLICATE_IDENTITY")
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    await asyncio.sleep(0.01)
    assert len(world.jobs.launched) == 1
    await world.supervisor.tell(wanted(epoch=1))
    await world.until(lambda: len(world.jobs.launched) == 2)


async def test_a_higher_epoch_puts_a_new_job_over_the_old_one(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await world.until(lambda: len(world.jobs.launched) == 1)
    await world.supervisor.tell(wanted(epoch=1))
    await world.until(lambda: len(world.jobs.launched) == 2)


async def test_the_end_makes_the_job_leave_and_none_follow(world: World) -> None:
    await world.supervisor.prepared()
    await world.supervisor.tell(wanted())
    await world.until(lambda: len(world.jobs.launched) == 1)
    await world.supervisor.tell(wanted(end=True))
    await asyncio.wait_for(world.supervisor.leave_wanted(), DEADLINE)
    world.jobs.die()
    await world.until(lambda: world.state.job is JobPhase.EXITED)
    assert world.state.phase is Phase.ENDED
    await asyncio.sleep(0.01)
    assert len(world.jobs.launched) == 1


async def test_memory_may_become_known_later(world: World) -> None:
    await world.supervisor.tell(wanted())
    address = MemoryAddress("http://letta", "agent-1")
    await world.supervisor.tell(Wanted("u1", 0, "vs-1", "ws://x", TOKEN, memory=address))
    assert world.memory == [None, address]


async def test_close_makes_the_job_leave(world: World) -> None:
    await world.supervisor.close()
    await asyncio.wait_for(world.supervisor.leave_wanted(), DEADLINE)
    assert world.jobs.closed
