"""Parsing of document blocks, and rejection of blocks that no test can check."""

import pytest

from tests.support.documents.blocks import Command, DocumentError, How, commands, parse
from tests.support.documents.reader import missing, script


def _console(*lines: str, above: str = "") -> str:
    return "\n".join([above, "```console", *lines, "```", ""])


def test_command_includes_continuation_and_output() -> None:
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
            "<!-- run: roll-back by tests/e2e/test_z.py::test_x -->",
            How.TEST,
            "roll-back",
            "tests/e2e/test_z.py::test_x",
        ),
    ],
)
def test_comment_selects_runner_of_block(above: str, how: How, name: str, test: str) -> None:
    (block,) = parse("a.md", _console("$ true", above=above))
    assert (block.how, block.name, block.test) == (how, name, test)


def test_blocks_keep_order_and_location() -> None:
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
        ("```yaml\na: 1\n```\n", "its comment must name a kind"),
        ("<!-- yaml: anything -->\n```yaml\na: 1\n```\n", "its comment must name a kind"),
        (_console("$ x", above="<!-- run: never -->"), "unknown way to run 'never'"),
        (_console("$ x", above="<!-- run: a by test_x -->"), "unknown way"),
    ],
)
def test_uncheckable_block_is_rejected(text: str, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        parse("a.md", text)


def test_script_runs_all_commands_in_the_same_shell() -> None:
    assert script((Command("a"), Command("b")), "--- 1") == "a\necho '--- 1'\nb\necho '--- 1'\n"


def test_output_is_matched_by_first_two_words() -> None:
    output = "NAME    PHASE   AGE\nhello   Ready   2s\n\nOK  livekit  answers\nusage:\n"
    assert missing(("NAME   PHASE   ROOM", "hello  Ready  9s", "hello ...", "...", "usage:"), output) == []
    assert missing(("OK   operator   two replicas",), output) == ["OK operator"]
    assert missing(("other  Ready", "hello  Active", "usage: kubectl"), output) == [
        "other Ready",
        "hello Active",
        "usage: kubectl",
    ]
