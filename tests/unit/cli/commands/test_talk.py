"""What is printed, and what is in the JSON."""

import json

import pytest
from voicesession_cli.commands.talk import Report
from voicesession_cli.voice.transcript import Line


def report(quiet: bool = False) -> Report:
    return Report("calls/hello", "vs-a", "person-x", "Agent_66", quiet)


def tell(told: Report, line: Line, *words: str) -> None:
    for part in (*words, ""):
        line.text += part
        told.words(line, part)


def test_the_agents_words_come_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    tell(report(), Line("agent-agent-66", "s1", 0.0), "You", " said", " hi.")
    assert capsys.readouterr().out == "Agent_66: You said hi.\n"


def test_what_the_agent_heard_is_printed_once_it_is_final(capsys: pytest.CaptureFixture[str]) -> None:
    told, line = report(), Line("person-x", "s1", 0.0)
    tell(told, line, "hi there")
    assert capsys.readouterr().out == ""
    line.final = True
    told.words(line, "")
    assert capsys.readouterr().out == "Agent_66 heard: hi there\n"


def test_a_note_breaks_an_open_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = report()
    told.words(Line("agent-agent-66", "s1", 0.0), "You")
    told.note("left")
    assert capsys.readouterr() == ("Agent_66: You\n", "left\n")


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    told = report(quiet=True)
    told.note("joined")
    tell(told, Line("agent-agent-66", "s1", 0.0), "Yes.")
    turn = told.begin_turn("Can you hear me?")
    turn.reply, turn.latency = "Yes.", 0.81234
    told.heard(turn, "yes")
    told.finish()
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
