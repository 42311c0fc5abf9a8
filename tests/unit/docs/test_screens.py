"""Terminal screens in the documents: existing commands, with their current columns.

The cluster test test_the_screens_of_eight_sessions writes them; their contents differ each time.
"""

import shlex

import pytest
from voicesession_cli import arguments
from voicesession_cli.session_row import HEADER

from tests.support.documents import blocks
from tests.support.documents.blocks import PROMPT, Block

VOICE = f"{PROMPT}kubectl voice "
HEADS = {"ls": [" ".join(HEADER)], "describe": ["NAMESPACE", *HEADER]}
"""The beginnings of the first lines, by command."""


def _screens() -> list[object]:
    found = [block for block in blocks.everywhere("text") if block.content.startswith(PROMPT)]
    return [pytest.param(block, id=block.where) for block in found]


@pytest.mark.parametrize("block", _screens())
def test_screen_has_current_columns_of_command(block: Block) -> None:
    typed, *shown = block.content.splitlines()
    assert typed.startswith(VOICE)
    command, *rest = shlex.split(typed.removeprefix(VOICE))
    arguments.parse([command, *rest])
    heads = HEADS[command]
    assert [" ".join(line.split())[: len(head)] for head, line in zip(heads, shown, strict=False)] == heads
    assert not [line for line in shown if line.startswith(PROMPT)]
