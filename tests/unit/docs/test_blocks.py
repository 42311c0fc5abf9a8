"""Documents are read the way their authors mean them, and a block that nobody could check is refused."""

import pytest

from tests.support.documents.blocks import Command, DocumentError, How, commands, parse
from tests.support.documents.reader import missing, script


def _console(*lines: str, above: str = "") -> str:
    return "\n".join([above, "```console", *lines, "```", ""])


def test_a_command_has_its_continuation_and_what_is_shown() -> None:
    content = "$ helm install \\\n    --wait\nNAME: x\n\nSTATUS: deployed\n$ kubectl get vs\n"
    assert commands(content) == (
        Command("helm install \\\n    --wait", ("NAME: x", "STATUS: deployed")),
        Command("kubectl get vs"),
    )


@pytest.mark.parametrize(
    ("above", "how", "name", "test"),
    [
        ("", How.HERE, "", ""),
        ("Some prose.", How.HERE, "", ""),
        ("<!-- run: make -->", How.MAKE, "", ""),
        ("<!-- run: scratch -->", How.SCRATCH, "", ""),
        (
            "<!-- run: roll-back by tests/e2e/test_z.py::test_it -->",
            How.TEST,
            "roll-back",
            "tests/e2e/test_z.py::test_it",
        ),
    ],
)
def test_a_comment_says_who_runs_a_block(above: str, how: How, name: str, test: str) -> None:
    (block,) = parse("a.md", _console("$ true", above=above))
    assert (block.how, block.name, block.test) == (how, name, test)


def test_blocks_come_in_order_with_their_places() -> None:
    text = "# A\n" + _console("$ one") + "text\n" + _console("$ two")
    assert [(block.where, block.commands[0].text) for block in parse("a.md", text)] == [
        ("a.md:4", "one"),
        ("a.md:9", "two"),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```\nx\n```\n", "no language"),
        ("```sh\nx\n```\n", "a block of sh"),
        ("```console\n$ x\n", "without an end"),
        ("```console\nx\n```\n", "without a command"),
        ("- a\n  ```console\n  $ x\n  ```\n", "indented"),
        ("```yaml\na: 1\n```\n", "say above it what it is"),
        ("<!-- yaml: anything -->\n```yaml\na: 1\n```\n", "say above it what it is"),
        (_console("$ x", above="<!-- run: never -->"), "nobody knows how to run 'never'"),
        (_console("$ x", above="<!-- run: a by test_x -->"), "nobody knows"),
    ],
)
def test_what_nobody_could_check_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        parse("a.md", text)


def test_one_shell_types_all_commands() -> None:
    assert script((Command("a"), Command("b")), "--- 1") == "a\necho '--- 1'\nb\necho '--- 1'\n"


def test_what_is_shown_is_looked_for_by_its_first_two_words() -> None:
    output = "NAME    PHASE   AGE\nhello   Ready   2s\n\nOK  livekit  answers\nusage:\n"
    assert missing(("NAME   PHASE   ROOM", "hello  Ready  9s", "hello ...", "...", "usage:"), output) == []
    assert missing(("OK   operator   two replicas",), output) == ["OK operator"]
    assert missing(("other  Ready", "hello  Active", "usage: kubectl"), output) == [
        "other Ready",
        "hello Active",
        "usage: kubectl",
    ]
