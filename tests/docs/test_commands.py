"""Every command block of the documents, typed as it stands; those that a test of its own runs are left to it."""

import os
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube
from tests.support.documents import blocks
from tests.support.documents.blocks import Block, How
from tests.support.documents.reader import Reader

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive, pytest.mark.timeout(1200)]


GIVEN = dict.fromkeys(
    ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LETTA_PASSWORD", "POSTGRES_URI", "CALLER_KEY"), "none-that-is-used"
)
"""What a document says is in one's environment."""


def _typed_here() -> list[object]:
    """Document and block, in their order; whoever talks needs a quiet machine."""
    return [
        pytest.param(
            block.document, block, id=block.where, marks=[pytest.mark.speech] if " talk " in block.content else []
        )
        for block in blocks.everywhere("console", How.HERE)
    ]


def _manifests() -> list[object]:
    return [pytest.param(block, id=block.where) for block in blocks.everywhere("yaml") if block.kind == "manifest"]


@pytest.mark.parametrize(("document", "block"), _typed_here(), indirect=["document"])
def test_a_block_works_as_it_is_written(reader: Reader, document: str, block: Block) -> None:
    reader.run(block)


@pytest.mark.parametrize("block", [pytest.param(b, id=b.where) for b in blocks.everywhere("console", How.SCRATCH)])
def test_a_block_works_in_a_namespace_of_its_own(reader: Reader, scratch: str, block: Block) -> None:
    assert constants.NAMESPACE in block.content
    reader.run(replace(block, content=block.content.replace(constants.NAMESPACE, scratch)), **GIVEN)


@pytest.mark.parametrize("block", _manifests())
def test_the_api_server_takes_a_manifest(reader: Reader, block: Block) -> None:
    (reader.folder / "manifest.yaml").write_text(block.content)
    command = "$ kubectl create --dry-run=server --filename manifest.yaml --namespace voicesession-system\n"
    reader.run(replace(block, language="console", content=command))


def test_own_agent_example_builds_and_applies(reader: Reader, kube: Kube) -> None:
    try:
        reader.run(blocks.named("own-agent"))
    finally:
        kube.delete("voiceagent", "own-agent", constants.EXAMPLE_NAMESPACE)


def test_pip_installs_terminal(reader: Reader, tmp_path: Path) -> None:
    """Into an environment of its own: that of `make venv` has it already."""
    venv.create(tmp_path / "venv", with_pip=True)
    path = os.pathsep.join([str(tmp_path / "venv" / "bin"), reader.environment["PATH"]])
    Reader(reader.folder, reader.environment | {"PATH": path}).run(blocks.named("get-the-terminal"))
    assert (tmp_path / "venv" / "bin" / "kubectl-voice").exists()
