"""The command line: what is taken, and what is refused with code 2."""

from pathlib import Path

import pytest
from voicesession_cli.__main__ import main
from voicesession_cli.arguments import parse


def test_several_sentences_make_several_turns() -> None:
    given = parse(["talk", "hello", "-n", "calls", "--say", "one", "--say", "two", "--listen", "-o", "json"])
    assert (given.session, given.namespace, given.say) == ("hello", "calls", ("one", "two"))
    assert given.listen
    assert given.json_output
    assert given.wav is None


def test_a_wav_and_a_stay() -> None:
    given = parse(["talk", "hello", "--wav", "q.wav", "--save", "r.wav", "--linger", "1.5", "--url", "ws://x:1"])
    assert (given.wav, given.save, given.linger, given.url) == (Path("q.wav"), Path("r.wav"), 1.5, "ws://x:1")
    assert given.say == ()


def test_only_being_there_is_something_to_do() -> None:
    assert parse(["talk", "hello", "--linger", "600"]).linger == 600


@pytest.mark.parametrize(
    ("command", "complaint"),
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
def test_wrong_usage_ends_with_2(command: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_wav_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["talk", "hello", "--wav", str(tmp_path / "absent.wav")]) == 2
    assert capsys.readouterr().err.startswith("voicesession: ")
