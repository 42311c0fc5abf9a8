"""The YAML that the documents show is what the chart, LiveKit and our API take."""

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
"""Parts of LiveKit's configuration that are its owner's to choose."""


def _blocks(*kinds: str) -> list[object]:
    return [pytest.param(block, id=block.where) for block in blocks.everywhere("yaml") if block.kind in kinds]


def _schema(kind: str) -> dict[str, Any]:
    (version,) = crd(PLURALS[kind])["spec"]["versions"]
    found: dict[str, Any] = strict(version["schema"]["openAPIV3Schema"])
    return found | {"properties": found["properties"] | {"metadata": {"type": "object"}}}


@pytest.mark.parametrize("block", _blocks("values"))
def test_values_are_rendered_and_name_their_secret(tmp_path: Path, block: Block) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(block.content)
    rendered = template({}, f"--values={path}")
    secrets = _secrets(yaml.safe_load(block.content))
    assert [name for name in secrets if not re.search(rf"[nN]ame: {name},", rendered)] == []


@pytest.mark.parametrize("block", _blocks("manifest", "VoiceAgent"))
def test_what_is_of_our_kinds_is_valid(block: Block) -> None:
    for found in yaml.safe_load_all(block.content):
        kind = found.get("kind", block.kind)
        if kind in PLURALS:
            jsonschema.validate(found, _schema(kind))


def test_an_external_livekit_is_configured_like_the_charts_own() -> None:
    own = yaml.safe_load(one(render(), "ConfigMap", f"{FULLNAME}-livekit")["data"]["config.yaml"])
    told: dict[str, Any] = {}
    for block in blocks.everywhere("yaml"):
        if block.kind == "livekit":
            told |= yaml.safe_load(block.content)
    for section in ("room", "api", "webhook"):
        for key in own[section]:
            assert (section, key) in OF_THE_SERVER or told[section][key] == own[section][key], (section, key)


def _secrets(values: dict[str, Any]) -> list[str]:
    nested = [name for value in values.values() if isinstance(value, dict) for name in _secrets(value)]
    return [values["existingSecret"], *nested] if "existingSecret" in values else nested
