"""Command blocks, links, images and make targets in the documents."""

import ast
import re
from pathlib import Path

import pytest

from hack.cluster.constants import ROOT
from hack.dashboards.__main__ import DASHBOARDS
from hack.reference.document import anchor
from tests.support.documents import blocks
from tests.support.documents.blocks import Block, How

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)]*))?\)")
PICTURE = re.compile(r'<img src="([^"]+)"')
IMAGES = ROOT / "docs" / "images"
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"`make ([a-z-]+)`")
FOREIGN = {".venv", "node_modules", ".pytest_cache"}
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def _blocks(how: How) -> list[object]:
    return [pytest.param(block, id=block.where) for block in blocks.everywhere("console", how)]


def _function(path: Path, name: str) -> ast.FunctionDef | None:
    tree = ast.parse(path.read_text())
    return next((f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == name), None)


def _pictures(text: str) -> list[str]:
    linked = [link for link, _ in LINK.findall(text) if link.endswith((".png", ".svg"))]
    return [*linked, *PICTURE.findall(text)]


def _documents() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.md") if not FOREIGN & set(path.parts))


@pytest.mark.parametrize("block", _blocks(How.MAKE))
def test_make_block_names_existing_targets(block: Block) -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text())
    for command in block.commands:
        make, target = command.text.split(" #")[0].split()
        assert (make, target in targets) == ("make", True), command.text


@pytest.mark.parametrize("block", _blocks(How.TEST))
def test_block_is_run_by_named_test(block: Block) -> None:
    path, _, name = block.test.partition("::")
    function = _function(ROOT / path, name)
    assert function is not None, f"{block.where}: there is no {block.test}"
    names = [
        node.args for node in ast.walk(function) if isinstance(node, ast.Call) and "named" in ast.unparse(node.func)
    ]
    assert block.name in [ast.literal_eval(args[0]) for args in names], f"{block.test} does not run {block.name!r}"
    assert blocks.named(block.name) == block


@pytest.mark.parametrize("path", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_has_a_target(path: Path) -> None:
    for link, heading in LINK.findall(path.read_text()):
        if "://" not in link:
            target = path.parent / link if link else path
            assert target.exists(), link
            anchors = {anchor(title) for title in HEADING.findall(target.read_text())} if heading else set()
            assert heading in anchors | {""}, f"{link}#{heading}"


def test_every_image_exists_and_is_shown() -> None:
    links = [(path.parent, link) for path in _documents() for link in _pictures(path.read_text())]
    shown = {(folder / link).resolve() for folder, link in links if "://" not in link}
    assert {path for path in shown if not path.is_file()} == set()
    assert set(IMAGES.iterdir()) <= shown


def test_dashboard_images_have_a_dashboard() -> None:
    named = {path.stem.removeprefix("dashboard-") for path in IMAGES.glob("dashboard-*")}
    assert named <= DASHBOARDS.keys()


@pytest.mark.parametrize("path", _documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_mentioned_make_target_exists(path: Path) -> None:
    assert set(MAKE.findall(path.read_text())) <= set(TARGET.findall((ROOT / "Makefile").read_text()))
