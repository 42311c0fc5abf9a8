"""The environment of the operator's pod manifest, read by the agent's settings."""

import base64
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_agent.settings import DEFAULT_INSTRUCTIONS, AgentSettings
from voicesession_common.api.constants import CONTROL_PORT, METRICS_PORT
from voicesession_operator.clients.agent_pod import public_key_of
from voicesession_operator.domain.pod_manifest import build_pod

from tests.support.builders import CONFIG, agent, session

RAW_KEY = public_key_of(Ed25519PrivateKey.generate())
SECRETS = {"llm-key": "sk-llm"}
SPEC: dict[str, Any] = {
    "instructions": "Be brief.",
    "greeting": "Hello.",
    "stt": {"provider": "moonshine", "options": {"turnDetection": "v1-mini"}},
    "llm": {
        "provider": "openai",
        "model": "scripted-1",
        "baseURL": "http://llm:8000/v1",
        "apiKeySecretRef": {"name": "keys", "key": "llm-key"},
        "options": {"temperature": 0},
    },
    "tts": {"provider": "pico", "voice": "en-GB"},
    "memory": {"letta": {"blocks": [{"label": "human", "value": ""}], "capture": True}},
    "onLastHumanLeft": {"graceSeconds": 3},
    "limits": {"joinSeconds": 60},
    "pod": {"image": "mine:1", "env": [{"name": "EXTRA", "value": "1"}, {"name": "LIVEKIT_URL", "value": "ws://evil"}]},
}


def environment(otlp_endpoint: str = "", **spec: Any) -> dict[str, str]:
    """Return the environment that the kubelet sets in the container."""
    config = replace(CONFIG, control_public_key=base64.b64encode(RAW_KEY).decode(), otlp_endpoint=otlp_endpoint)
    pod = build_pod(session().build(), agent(**spec), 0, config)
    return {variable["name"]: _value(variable) for variable in pod["spec"]["containers"][0]["env"]}


def _value(variable: dict[str, Any]) -> str:
    if "value" in variable:
        return str(variable["value"])
    source = variable["valueFrom"]
    return "pod-uid" if "fieldRef" in source else SECRETS[source["secretKeyRef"]["key"]]


def test_agent_reads_the_pods_environment() -> None:
    settings = AgentSettings.from_env(environment(**SPEC))
    assert settings.trouble == ""
    assert (settings.pod_uid, settings.control_port, settings.public_key) == ("pod-uid", CONTROL_PORT, RAW_KEY)
    assert settings.metrics_port == METRICS_PORT
    assert settings.livekit_url == CONFIG.livekit_url


def test_agent_reads_every_field_of_the_voice_agent() -> None:
    spec = AgentSettings.from_env(environment(**SPEC)).agent
    assert (spec.name, spec.display_name) == ("agent-66", "Agent_66")
    assert (spec.instructions, spec.greeting) == ("Be brief.", "Hello.")
    assert (spec.stt.name, spec.turn_detection, dict(spec.stt.options)) == ("moonshine", "v1-mini", {})
    assert (spec.llm.name, spec.llm.model, spec.llm.base_url) == ("openai", "scripted-1", "http://llm:8000/v1")
    assert (spec.llm.api_key, dict(spec.llm.options)) == ("sk-llm", {"temperature": 0})
    assert (spec.tts.name, spec.tts.voice) == ("pico", "en-GB")


LLM: dict[str, Any] = {"llm": {"provider": "openai"}}
LARGEST: dict[str, dict[str, Any]] = {
    "Cyrillic instructions": {"instructions": "ж" * 32_768},
    "emoji instructions": {"instructions": "🎧" * 32_768},
    "control characters": {"instructions": "\x00\x01" * 16_384},
    "characters of different lengths": {"instructions": "aж🎧" * 10_000},
    "options of a provider": {"llm": {"provider": "openai", "options": {"extra": "жж" * 150_000}}},
    "memory blocks": {"memory": {"letta": {"blocks": [{"label": f"b{n}", "value": "x" * 30_000} for n in range(5)]}}},
}
"""Definitions that the CRD accepts and that exceed the kernel's limit in one variable."""


@pytest.mark.parametrize("name", LARGEST)
def test_largest_definition_starts_a_process_and_arrives_unchanged(name: str) -> None:
    spec = LLM | LARGEST[name]
    variables = environment(**spec)
    assert subprocess.run(["/bin/true"], env=variables, check=False).returncode == 0
    found = AgentSettings.from_env(variables)
    assert found.trouble == ""
    assert found.agent.instructions == spec.get("instructions", DEFAULT_INSTRUCTIONS)
    assert dict(found.agent.llm.options) == spec["llm"].get("options", {})


def test_definition_has_no_references_for_the_kubelet() -> None:
    text = "It costs $5, or $$5. Say $(LIVEKIT_URL)."
    variables = environment(**LLM, instructions=text)
    assert "$" not in variables["VOICESESSION_AGENT"]
    assert AgentSettings.from_env(variables).agent.instructions == text


def test_own_variable_cannot_continue_the_definition() -> None:
    variables = environment(**LLM, pod={"env": [{"name": "VOICESESSION_AGENT_2", "value": "}"}]})
    assert "VOICESESSION_AGENT_2" not in variables
    assert AgentSettings.from_env(variables).trouble == ""


def test_environment_omits_pod_settings_and_secrets() -> None:
    definition = environment(**SPEC)["VOICESESSION_AGENT"]
    for word in ("mine:1", "graceSeconds", "joinSeconds", "sk-llm", "blocks"):
        assert word not in definition


def test_otlp_endpoint_is_passed_on_without_otel_variables() -> None:
    assert AgentSettings.from_env(environment("http://collector:4318")).otlp_endpoint == "http://collector:4318"
    assert AgentSettings.from_env(environment()).otlp_endpoint == ""
    assert not [name for name in environment("http://collector:4318") if name.startswith("OTEL_")]


def test_custom_entrypoint_needs_no_providers() -> None:
    settings = AgentSettings.from_env(environment(entrypoint="own_agent:entrypoint"))
    assert (settings.trouble, settings.agent.entrypoint) == ("", "own_agent:entrypoint")


@pytest.mark.parametrize("variable", ["VOICESESSION_POD_UID", "VOICESESSION_CONTROL_PUBLIC_KEY", "VOICESESSION_AGENT"])
def test_required_variable_is_set(variable: str) -> None:
    assert variable in environment()
