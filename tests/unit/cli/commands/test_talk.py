"""The report of `talk`: printed lines, and the JSON output."""

import json

import pytest
from voicesession_cli.commands.talk import TalkReport
from voicesession_cli.voice.transcript import TranscriptLine


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
