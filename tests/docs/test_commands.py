"""Every command block of the documents, run as written. Blocks with a named test are run by that test."""

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

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


GIVEN = dict.fromkeys(
    ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LETTA_PASSWORD", "POSTGRES_URI", "CALLER_KEY"), "none-that-is-used"
)
"""Environment variables that the documents expect."""


def _blocks_run_here() -> list[object]:
    """Return document and block in order. Blocks with speech need a quiet machine."""
    return [
        pytest.param(
            block.document, block, id=block.where, marks=[pytest.mark.speech] if " talk " in block.content else []
        )
        for block in blocks.everywhere("console", How.HERE)
    ]


def _manifests() -> list[object]:
    return [pytest.param(block, id=block.where) for block in blocks.everywhere("yaml") if block.kind == "manifest"]


@pytest.mark.disruptive
@pytest.mark.parametrize(("document", "block"), _blocks_run_here(), indirect=["document"])
def test_block_works_as_written(reader: Reader, document: str, block: Block) -> None:
    reader.run(block)


@pytest.mark.parametrize("block", [pytest.param(b, id=b.where) for b in blocks.everywhere("console", How.SCRATCH)])
def test_block_works_in_scratch_namespace(reader: Reader, scratch: str, block: Block) -> None:
    assert constants.NAMESPACE in block.content
    reader.run(replace(block, content=block.content.replace(constants.NAMESPACE, scratch)), **GIVEN)


@pytest.mark.parametrize("block", _manifests())
def test_api_server_accepts_manifest(reader: Reader, block: Block) -> None:
    (reader.folder / "manifest.yaml").write_text(block.content)
    command = "$ kubectl create --dry-run=server --filename manifest.yaml --namespace voicesession-system\n"
    reader.run(replace(block, language="console", content=command))


def test_own_agent_example_builds_and_applies(reader: Reader, kube: Kube) -> None:
    try:
        reader.run(blocks.named("own-agent"))
        reader.run(blocks.named("provider-key"))
    finally:
        kube.delete("voiceagent", "own-agent", constants.EXAMPLE_NAMESPACE)
        kube.delete("secret", "deepgram", constants.EXAMPLE_NAMESPACE)


def test_pip_installs_terminal(reader: Reader, tmp_path: Path) -> None:
    """Use a fresh environment, because that of `make venv` already has the package."""
    venv.create(tmp_path / "venv", with_pip=True)
    path = os.pathsep.join([str(tmp_path / "venv" / "bin"), reader.environment["PATH"]])
    Reader(reader.folder, reader.environment | {"PATH": path}).run(blocks.named("get-the-terminal"))
    assert (tmp_path / "venv" / "bin" / "kubectl-voice").exists()
