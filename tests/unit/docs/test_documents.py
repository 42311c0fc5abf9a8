"""No command block of the documents is left unchecked, and no link leads nowhere."""

import ast
import re
from pathlib import Path

import pytest

from hack.cluster.names import ROOT
from hack.reference.document import anchor
from tests.docs import blocks
from tests.docs.blocks import Block, How

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"`make ([a-z]+)`")
FOREIGN = {".venv", "node_modules", ".pytest_cache"}
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def _blocks(how: How) -> list[object]:
    return [pytest.param(block, id=block.where) for block in blocks.everywhere("console", how)]


def _function(path: Path, name: str) -> ast.FunctionDef | None:
    tree = ast.parse(path.read_text())
    return next((f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == name), None)


def _documents() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if not FOREIGN & set(path.parts))


@pytest.mark.parametrize("block", _blocks(How.MAKE))
def test_what_is_left_to_make_is_a_target(block: Block) -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text())
    for command in block.commands:
        make, target = command.text.split(" #")[0].split()
        assert (make, target in targets) == ("make", True), command.text


@pytest.mark.parametrize("block", _blocks(How.TEST))
def test_what_is_left_to_a_test_is_run_by_it(block: Block) -> None:
    path, _, name = block.test.partition("::")
    function = _function(ROOT / path, name)
    assert function is not None, f"{block.where}: there is no {block.test}"
    asked = [
        node.args for node in ast.walk(function) if isinstance(node, ast.Call) and "named" in ast.unparse(node.func)
    ]
    assert block.name in [ast.literal_eval(args[0]) for args in asked], f"{block.test} does not run {block.name!r}"
    assert blocks.named(block.name) == block


@pytest.mark.parametrize("path", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for link, heading in LINK.findall(path.read_text()):
        if "://" not in link:
            target = path.parent / link if link else path
            assert target.exists(), link
            anchors = {anchor(title) for title in HEADING.findall(target.read_text())} if heading else set()
            assert heading in anchors | {""}, f"{link}#{heading}"


@pytest.mark.parametrize("path", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_that_is_spoken_of_is_a_target(path: Path) -> None:
    assert set(MAKE.findall(path.read_text())) <= set(TARGET.findall((ROOT / "Makefile").read_text()))
