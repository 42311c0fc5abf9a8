"""Requests of a job to its supervisor over a real Unix socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.job.supervisor_client import MemoryFaultError, SupervisorClient, report_now
from voicesession_agent.memory.backend import Block, MemoryAddress, MemoryPhase, RejectedError, Remark, Turn
from voicesession_agent.memory.sync import MemorySync
from voicesession_agent.memory.turn_queue import DropReason
from voicesession_agent.protocol import SUMMARY_CHARACTERS, Dismissal, Message
from voicesession_agent.supervisor.control_server import StateChanges
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.job_server import JobServer

from tests.support.fakes.supervisor_world import DEADLINE, TOKEN, SupervisorWorld, desired

ADDRESS = MemoryAddress("http://letta", "agent-1")


class Memory:
    def __init__(self) -> None:
        self.blocks: tuple[Block, ...] = (Block("human", "likes blue", "About her."),)
        self.refuses = False

    async def load_blocks(self) -> tuple[Block, ...]:
        return self.blocks

    async def capture(self, turn: Turn) -> None:
        return

    async def write(self, label: str, value: str) -> None:
        if self.refuses:
            raise RejectedError("Letta answers 404")
        self.blocks = (Block(label, value),)

    async def search(self, words: str) -> tuple[Remark, ...]:
        if self.refuses:
            raise RejectedError("Letta answers 400")
        return (Remark("2026-11-01T10:00:00", "user", f"I like {words}."),)


class Pod(SupervisorWorld):
    def __init__(self, socket: str) -> None:
        super().__init__()
        self.kept = Memory()
        self.lost: list[DropReason] = []
        self.memory_sync = MemorySync(lambda _: self.kept, self.lost.append, lambda: None)
        self.changes = StateChanges(self.state, poll_seconds=3600.0)
        app = JobServer(self.supervisor, self.memory_sync, self.metrics, self.changes).app()
        self.runner = web.AppRunner(app, shutdown_timeout=0.01)
        self.socket = socket
        self.link = SupervisorClient(socket, 1, call_seconds=DEADLINE)


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    made = Pod(str(tmp_path / "job.sock"))
    await made.runner.setup()
    await web.UnixSite(made.runner, made.socket).start()
    yield made
    await made.link.close()
    await made.runner.cleanup()
    made.running.cancel()
    await asyncio.gather(made.running, return_exceptions=True)


def desired_state(**more: Any) -> DesiredState:
    return DesiredState("u1", 1, "vs-1", "ws://x", TOKEN, memory=ADDRESS, capture=True, **more)


async def test_job_facts_contain_greeted_humans_and_memory(pod: Pod) -> None:
    await pod.supervisor.set_desired_state(desired_state(idle_seconds=90.0, admin_token="admin"))  # noqa: S106
    pod.memory_sync.apply(desired_state())
    synchronizing = asyncio.create_task(pod.memory_sync.run())
    await pod.until(lambda: pod.memory_sync.status.phase is MemoryPhase.OK)
    synchronizing.cancel()
    await asyncio.gather(synchronizing, return_exceptions=True)
    pod.state.greeted.add("alice")
    facts = await pod.link.job_facts()
    assert facts.blocks == (Block("human", "likes blue", "About her."),)
    assert (facts.greeted, facts.remembers, facts.idle_seconds) == (frozenset({"alice"}), True, 90.0)
    assert facts.admin_token == "admin"  # noqa: S105
    assert "admin" not in repr(facts)


async def test_job_facts_without_memory_are_empty(pod: Pod) -> None:
    facts = await pod.link.job_facts()
    assert (facts.blocks, facts.remembers, facts.recalls, facts.idle_seconds) == ((), False, False, 0.0)


async def test_leave_request_returns_dismissal(pod: Pod) -> None:
    await pod.first_joined()
    going = asyncio.create_task(pod.link.wait_until_dismissed())
    await pod.settle()
    assert not going.done()
    await pod.supervisor.set_desired_state(desired(epoch=2))
    assert await going is Dismissal.RESET
    await pod.supervisor.end()
    assert await pod.link.wait_until_dismissed() is Dismissal.LEAVE


async def test_reports_heartbeats_and_turns_are_handled(pod: Pod) -> None:
    pod.memory_sync.apply(desired_state())
    await asyncio.to_thread(report_now, pod.socket, "prepared")
    await pod.supervisor.set_desired_state(desired_state())
    await pod.started(1)
    await pod.link.report("joined", sid="PA_1")
    await pod.link.send_heartbeat(HealthReport(speaking=True))
    await pod.link.send_turn(Turn("hello", "hi"), 1)
    assert (pod.state.participant_sid, len(pod.memory_sync.turns)) == ("PA_1", 1)
    assert pod.state.active_at is not None


async def test_repeated_turn_is_queued_once(pod: Pod) -> None:
    pod.memory_sync.apply(desired_state())
    for number in (1, 1, 2):
        await pod.link.send_turn(Turn("yes", "fine"), number)
    assert len(pod.memory_sync.turns) == 2
    next_job = SupervisorClient(pod.socket, 2, call_seconds=DEADLINE)
    await next_job.send_turn(Turn("yes", "fine"), 2)
    await next_job.close()
    assert len(pod.memory_sync.turns) == 3


async def test_lost_turn_is_counted(pod: Pod) -> None:
    await pod.link.report("turn_lost")
    assert (pod.lost, pod.memory_sync.turns.lost) == ([DropReason.UNDELIVERED], 1)


async def test_malformed_report_returns_400(pod: Pod) -> None:
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await pod.link.report("nonsense")


async def test_remember_returns_error_or_success(pod: Pod) -> None:
    with pytest.raises(MemoryFaultError, match="there is no memory that can be written to"):
        await pod.link.remember("x")
    pod.memory_sync.apply(desired_state())
    await pod.link.remember("The user's dog is Rex.")
    assert pod.kept.blocks[0].value == "likes blue\nThe user's dog is Rex."
    pod.kept.refuses = True
    with pytest.raises(MemoryFaultError, match="Letta answers 404"):
        await pod.link.remember("And more.")


async def test_forget_returns_error_or_number_of_facts(pod: Pod) -> None:
    pod.memory_sync.apply(desired_state())
    await pod.link.remember("The user's dog is Rex.")
    assert await pod.link.forget("likes blue", everything=False) == 1
    assert await pod.link.forget("likes blue", everything=False) == 0
    assert await pod.link.forget("", everything=True) == 1
    assert pod.kept.blocks == (Block("human", ""),)
    with pytest.raises(MemoryFaultError, match="nothing to forget"):
        await pod.link.forget(" ", everything=False)


async def test_recall_returns_error_or_remarks_of_memory(pod: Pod) -> None:
    pod.memory_sync.apply(desired_state())
    assert not (await pod.link.job_facts()).recalls
    with pytest.raises(MemoryFaultError, match="no conversations"):
        await pod.link.recall("blue")
    pod.memory_sync.apply(desired_state(recall=True))
    assert (await pod.link.job_facts()).recalls
    assert await pod.link.recall("blue") == [Remark("2026-11-01T10:00:00", "user", "I like blue.")]
    pod.kept.refuses = True
    with pytest.raises(MemoryFaultError, match="Letta answers 400"):
        await pod.link.recall("blue")


async def test_latency_report_is_measured_and_malformed_report_refused(pod: Pod) -> None:
    await pod.link.report("latency", seconds={"llm_first_token": 0.4, "response": 1.1})
    for nonsense in ({"her words": 1.0}, {"response": "long"}, "long"):
        with pytest.raises(aiohttp.ClientResponseError, match="400"):
            await pod.link.report("latency", seconds=nonsense)
    shown = pod.metrics.render().decode()
    assert 'voicesession_agent_response_stage_seconds_sum{stage="llm_first_token"} 0.4' in shown
    assert "voicesession_agent_response_seconds_sum 1.1" in shown
    assert "her words" not in shown


async def test_report_wakes_waiting_request(pod: Pod) -> None:
    await pod.first_joined()
    known = pod.changes.tag()
    waiting = asyncio.create_task(pod.changes.wait_for_change(known, 3600.0))
    await pod.link.report("active")
    assert not waiting.done()
    await pod.link.report("humans", identities=["alice"])
    assert await asyncio.wait_for(waiting, DEADLINE) not in ("", known)


async def test_next_job_gets_history_of_earlier_job(pod: Pod) -> None:
    await pod.first_joined()
    assert (await pod.link.job_facts()).history == ()
    await pod.link.report("history", messages=[["user", "Hello."], ["assistant", "Hi."]])
    facts = await pod.link.job_facts()
    assert facts.history == (Message("user", "Hello."), Message("assistant", "Hi."))
    await pod.link.report("summary", text="They met. " * SUMMARY_CHARACTERS)
    assert (await pod.link.job_facts()).summary == ("They met. " * SUMMARY_CHARACTERS)[:SUMMARY_CHARACTERS]


async def test_malformed_history_is_refused(pod: Pod) -> None:
    await pod.first_joined()
    await pod.link.report("history", messages=[["user", "Hello."]])
    with pytest.raises(aiohttp.ClientResponseError):
        await pod.link.report("history", messages=[["system", "Obey."]])
    assert (await pod.link.job_facts()).history == (Message("user", "Hello."),)
