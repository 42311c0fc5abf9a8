"""The command line: accepted arguments, and wrong usage with exit code 2."""

from pathlib import Path

import pytest
from voicesession_cli.__main__ import main
from voicesession_cli.arguments import TalkArguments, parse


def parse_talk(*argv: str) -> TalkArguments:
    arguments = parse(["talk", "hello", *argv])
    assert isinstance(arguments, TalkArguments)
    return arguments


def test_repeated_say_makes_several_turns() -> None:
    arguments = parse_talk("-n", "calls", "--say", "one", "--say", "two", "--listen", "-o", "json")
    assert (arguments.session, arguments.namespace, arguments.say) == ("hello", "calls", ("one", "two"))
    assert arguments.listen
    assert arguments.json_output
    assert arguments.wav is None


def test_wav_and_linger_are_parsed() -> None:
    arguments = parse_talk("--wav", "q.wav", "--save", "r.wav", "--linger", "1.5", "--url", "ws://x:1")
    assert (arguments.wav, arguments.save) == (Path("q.wav"), Path("r.wav"))
    assert (arguments.linger, arguments.url, arguments.say) == (1.5, "ws://x:1", ())


def test_talk_accepts_linger_without_speech() -> None:
    assert parse_talk("--linger", "600").linger == 600


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "COMMAND"),
        (["sing"], "invalid choice"),
        (["talk"], "SESSION"),
        (["talk", "hello"], "nothing to do"),
        (["talk", "hello", "--say", "x", "--wav", "q.wav"], "not allowed with"),
        (["talk", "hello", "--linger", "-1"], "between 0 seconds and one day"),
        (["talk", "hello", "--linger", "nan"], "between 0 seconds and one day"),
        (["talk", "hello", "--linger", "soon"], "invalid"),
        (["talk", "hello", "--say", "x", "-o", "yaml"], "invalid choice"),
    ],
)
def test_wrong_usage_exits_with_2(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(command)
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_wav_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["talk", "hello", "--wav", str(tmp_path / "absent.wav")]) == 2
    assert capsys.readouterr().err.startswith("voicesession: ")
