"""YAML blocks of the documents: the chart, LiveKit and the CRDs accept them."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from voicesession_common.api import constants

from tests.support.chart.rendering import FULLNAME, crd, one, render, template
from tests.support.chart.schemas import strict
from tests.support.documents import blocks
from tests.support.documents.blocks import Block

PLURALS = {"VoiceAgent": constants.AGENTS, "VoiceSession": constants.SESSIONS}
OF_THE_SERVER = {("webhook", "api_key"), ("webhook", "urls")}
"""Parts of LiveKit's configuration that depend on the installation."""


def _blocks(*kinds: str) -> list[object]:
    return [pytest.param(block, id=block.where) for block in blocks.everywhere("yaml") if block.kind in kinds]


def _schema(kind: str) -> dict[str, Any]:
    (version,) = crd(PLURALS[kind])["spec"]["versions"]
    found: dict[str, Any] = strict(version["schema"]["openAPIV3Schema"])
    return found | {"properties": found["properties"] | {"metadata": {"type": "object"}}}


@pytest.mark.parametrize("block", _blocks("values"))
def test_values_block_renders_with_named_secret(tmp_path: Path, block: Block) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(block.content)
    rendered = template({}, f"--values={path}")
    secrets = _secrets(yaml.safe_load(block.content))
    assert [name for name in secrets if not re.search(rf"[nN]ame: {name},", rendered)] == []


@pytest.mark.parametrize("block", _blocks("manifest", "VoiceAgent"))
def test_manifest_block_matches_schema(block: Block) -> None:
    for found in yaml.safe_load_all(block.content):
        kind = found.get("kind", block.kind)
        if kind in PLURALS:
            jsonschema.validate(found, _schema(kind))


def test_external_livekit_block_equals_chart_config() -> None:
    own = yaml.safe_load(one(render(), "ConfigMap", f"{FULLNAME}-livekit")["data"]["config.yaml"])
    shown: dict[str, Any] = {}
    for block in blocks.everywhere("yaml"):
        if block.kind == "livekit":
            shown |= yaml.safe_load(block.content)
    for section in ("room", "api", "webhook"):
        for key in own[section]:
            assert (section, key) in OF_THE_SERVER or shown[section][key] == own[section][key], (section, key)


def _secrets(values: dict[str, Any]) -> list[str]:
    nested = [name for value in values.values() if isinstance(value, dict) for name in _secrets(value)]
    return [values["existingSecret"], *nested] if "existingSecret" in values else nested
