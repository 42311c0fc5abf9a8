"""The code blocks of the documents, and the test that checks each of them.

A comment directly above a block selects the check; a console block without one runs on the cluster, in order.

    <!-- run: make -->                                    every command is a target of the Makefile
    <!-- run: scratch -->                                 on the cluster, in a scratch namespace
    <!-- run: NAME by tests/e2e/test_x.py::test_y -->     by that test, which loads the block by its name
    <!-- yaml: values -->                                 also manifest, livekit, VoiceAgent: the kind of yaml
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from hack.cluster.constants import ROOT

DOCUMENTS = (
    "README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "operations").glob("*.md")),
    "docs/runbook.md",
    "docs/architecture.md",
    "examples/own-agent/README.md",
    "CONTRIBUTING.md",
)
LANGUAGES = frozenset({"console", "yaml", "mermaid", "text"})
KINDS_OF_YAML = frozenset({"values", "manifest", "livekit", "VoiceAgent"})
PROMPT = "$ "
FENCE = "```"
COMMENT = re.compile(r"^<!-- (run|yaml): (.+) -->$")
BY_TEST = re.compile(r"^(?P<name>[a-z-]+) by (?P<test>tests/[\w/]+\.py::test_\w+)$")


class How(Enum):
    """The runner of a console block."""

    HERE = "on the cluster, as written"
    SCRATCH = "on the cluster, in a scratch namespace"
    MAKE = "not here: its commands are targets of the Makefile"
    TEST = "by the named test"


class DocumentError(Exception):
    """Error for a block that no test can check; the message names document and line."""


@dataclass(frozen=True)
class Command:
    """One command with its continuation lines, and the lines of output below it."""

    text: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is the number of its first line of content, counted from 1."""

    document: str
    line: int
    language: str
    content: str
    how: How = How.HERE
    name: str = ""
    test: str = ""
    kind: str = ""
    """The kind of a yaml block."""

    @property
    def where(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def commands(self) -> tuple[Command, ...]:
        return commands(self.content) if self.language == "console" else ()


def of(document: str) -> list[Block]:
    """Return the blocks of a document of this repository, in order. Raises DocumentError."""
    return parse(document, (ROOT / document).read_text())


def everywhere(language: str, how: How | None = None) -> list[Block]:
    """Return the blocks of one language in all documents, optionally of one runner. Raises DocumentError."""
    found = [block for document in DOCUMENTS for block in of(document) if block.language == language]
    return [block for block in found if how in (None, block.how)]


def named(name: str) -> Block:
    """Return the block with this name. Raises DocumentError."""
    found = [block for block in everywhere("console") if block.name == name]
    if len(found) != 1:
        raise DocumentError(f"{len(found)} blocks have the name {name!r}")
    return found[0]


def parse(document: str, text: str) -> list[Block]:
    """Return every fenced block. Raises DocumentError for an invalid one."""
    lines = text.splitlines()
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith(FENCE)]
    if len(fences) % 2:
        raise DocumentError(f"{document}:{fences[-1] + 1}: a block without an end")
    return [_block(document, lines, start, end) for start, end in list(pairwise(fences))[::2]]


def commands(content: str) -> tuple[Command, ...]:
    """Return the commands of a console block: lines after the prompt, with their continuation lines."""
    found: list[Command] = []
    for line in content.splitlines():
        if line.startswith(PROMPT):
            found.append(Command(line.removeprefix(PROMPT)))
        elif found and not found[-1].shown and found[-1].text.endswith("\\"):
            found[-1] = Command(f"{found[-1].text}\n{line}")
        elif found and line.strip():
            found[-1] = Command(found[-1].text, (*found[-1].shown, line))
    return tuple(found)


def _block(document: str, lines: list[str], start: int, end: int) -> Block:
    where, language = f"{document}:{start + 1}", lines[start].strip().removeprefix(FENCE)
    if language not in LANGUAGES:
        raise DocumentError(f"{where}: a block of {language or 'no language'}; known: {', '.join(sorted(LANGUAGES))}")
    if lines[start] != lines[start].strip():
        raise DocumentError(f"{where}: a block that is indented")
    block = Block(document, start + 2, language, "\n".join(lines[start + 1 : end]) + "\n")
    if language == "console" and not block.commands:
        raise DocumentError(f"{where}: a console block without a command: its lines begin with {PROMPT!r}")
    comment = COMMENT.match(lines[start - 1] if start else "")
    return _with_comment(block, *(comment.groups() if comment else ("", "")))


def _with_comment(block: Block, about: str, text: str) -> Block:
    """Apply the comment above the block; `about` is run or yaml, or empty without a comment."""
    if block.language == "yaml":
        if about != "yaml" or text not in KINDS_OF_YAML:
            raise DocumentError(f"{block.where}: its comment must name a kind: {', '.join(sorted(KINDS_OF_YAML))}")
        return replace(block, kind=text)
    if block.language != "console" or not about:
        return block
    by_test = BY_TEST.match(text)
    if about == "run" and by_test:
        return replace(block, how=How.TEST, name=by_test["name"], test=by_test["test"])
    if about == "run" and text in ("make", "scratch"):
        return replace(block, how=How[text.upper()])
    raise DocumentError(f"{block.where}: unknown way to run {text!r}")
