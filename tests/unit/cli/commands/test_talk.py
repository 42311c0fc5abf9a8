"""The report of `talk`, and its end by a signal."""

import asyncio
import json
import os
import signal
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from voicesession_cli.commands.talk import TalkReport, converse, run_until_signal
from voicesession_cli.errors import CommandError
from voicesession_cli.voice.transcript import TranscriptLine

DEADLINE = 30.0


def make_report(quiet: bool = False) -> TalkReport:
    return TalkReport("calls/hello", "vs-a", "person-x", "Agent_66", quiet)


def add_stream(report: TalkReport, line: TranscriptLine, *words: str) -> None:
    for part in (*words, ""):
        line.text += part
        report.add_words(line, part)


def test_agent_words_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    add_stream(make_report(), TranscriptLine("agent-agent-66", "s1", 0.0), "You", " said", " hi.")
    assert capsys.readouterr().out == "Agent_66: You said hi.\n"


def test_human_words_are_printed_when_final(capsys: pytest.CaptureFixture[str]) -> None:
    report, line = make_report(), TranscriptLine("person-x", "s1", 0.0)
    add_stream(report, line, "hi there")
    assert capsys.readouterr().out == ""
    line.final = True
    report.add_words(line, "")
    assert capsys.readouterr().out == "Agent_66 heard: hi there\n"


def test_progress_ends_open_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report()
    report.add_words(TranscriptLine("agent-agent-66", "s1", 0.0), "You")
    report.progress("left")
    assert capsys.readouterr() == ("Agent_66: You\n", "left\n")


def test_json_output_is_single_object(capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(quiet=True)
    report.progress("joined")
    add_stream(report, TranscriptLine("agent-agent-66", "s1", 0.0), "Yes.")
    turn = report.begin_turn("Can you hear me?")
    turn.reply, turn.latency = "Yes.", 0.81234
    report.add_recognized(turn, "yes")
    report.finish()
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out) == {
        "session": "calls/hello",
        "room": "vs-a",
        "identity": "person-x",
        "agent": {},
        "turns": [
            {
                "said": "Can you hear me?",
                "heardByAgent": "",
                "reply": "Yes.",
                "latencySeconds": 0.812,
                "replySeconds": 0.0,
                "heard": "yes",
            }
        ],
        "error": None,
    }


class WatchedEvent(asyncio.Event):
    """An event that shows the first wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_awaited = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.is_awaited.set()
        return await super().wait()


class SimulatedVisit:
    """A visit whose join and conversation end on command."""

    def __init__(self) -> None:
        self.connected, self.joined, self.over = asyncio.Event(), WatchedEvent(), asyncio.Event()
        self.began = asyncio.Event()
        self.has_left = False

    async def run(self) -> None:
        self.began.set()
        await self.connected.wait()
        self.joined.set()
        try:
            await self.over.wait()
        finally:
            self.has_left = True


async def test_signal_during_conversation_lets_participant_leave() -> None:
    visit = SimulatedVisit()
    visit.connected.set()
    running = asyncio.ensure_future(run_until_signal(visit.run(), visit.joined))
    await visit.joined.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert visit.has_left


async def test_signal_during_join_lets_participant_join_and_leave() -> None:
    visit = SimulatedVisit()
    running = asyncio.ensure_future(run_until_signal(visit.run(), visit.joined))
    await visit.began.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(visit.joined.is_awaited.wait(), DEADLINE)
    visit.connected.set()
    await running
    assert visit.has_left


async def test_signal_during_hanging_join_ends_visit() -> None:
    visit = SimulatedVisit()
    running = asyncio.ensure_future(run_until_signal(visit.run(), visit.joined, join_seconds=0.01))
    await visit.began.wait()
    os.kill(os.getpid(), signal.SIGINT)
    await running
    assert not visit.joined.is_set()


class WaitingHuman:
    """A human in a room without an agent."""

    identity = "person-x"

    def __init__(self) -> None:
        self.waits, self.disconnected = asyncio.Event(), WatchedEvent()

    async def wait_for_agent(self, seconds: float) -> None:
        self.waits.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("utterances", "error"), [([("Hello.", None)], "a signal ended the conversation early"), ([], "")]
)
async def test_canceled_conversation_is_error_until_last_reply(utterances: list[Any], error: str) -> None:
    human, arguments, report = WaitingHuman(), SimpleNamespace(linger=60.0), make_report(quiet=True)
    running = asyncio.ensure_future(converse(human, arguments, utterances, False, report, []))  # type: ignore[arg-type]
    await asyncio.wait_for((human.waits if utterances else human.disconnected.is_awaited).wait(), DEADLINE)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert report.error == error


async def test_error_of_visit_is_raised() -> None:
    async def fail() -> None:
        raise CommandError("LiveKit refused the connection")

    with pytest.raises(CommandError, match="refused"):
        await run_until_signal(fail(), asyncio.Event())
