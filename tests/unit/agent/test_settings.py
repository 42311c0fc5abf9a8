"""Settings of the agent pod: defaults, parsing, errors and exported variables."""

import base64
import json
from typing import Any

import pytest
from voicesession_agent.settings import DEFAULT_INSTRUCTIONS, AgentSettings, AgentSettingsError

KEY = base64.b64encode(bytes(32)).decode()
SPEC: dict[str, Any] = {"name": "agent-66", "llm": {"provider": "openai", "baseURL": "http://llm/v1"}}


def env(spec: Any = SPEC, **more: str) -> dict[str, str]:
    given = {"VOICESESSION_POD_UID": "pod-1", "VOICESESSION_CONTROL_PUBLIC_KEY": KEY}
    return given | {"VOICESESSION_AGENT": spec if isinstance(spec, str) else json.dumps(spec)} | more


def test_minimal_environment_has_defaults() -> None:
    settings = AgentSettings.from_env(env())
    agent = settings.agent
    assert (agent.stt.name, agent.tts.name, agent.llm.name) == ("moonshine", "pico", "openai")
    assert (agent.instructions, agent.turn_detection, settings.trouble) == (DEFAULT_INSTRUCTIONS, "vad", "")
    assert agent.display_name == "agent-66"


def test_api_key_is_stripped_and_hidden_in_repr() -> None:
    settings = AgentSettings.from_env(env(VOICESESSION_LLM_API_KEY="sk-secret\n"))
    assert settings.agent.llm.api_key == "sk-secret"
    assert "sk-secret" not in repr(settings)


def test_idle_prompt_is_optional() -> None:
    assert AgentSettings.from_env(env()).agent.idle_prompt == ""
    assert AgentSettings.from_env(env(SPEC | {"idlePrompt": "Are you there?"})).agent.idle_prompt == "Are you there?"


@pytest.mark.parametrize(
    ("given", "wait", "apology"),
    [({}, None, None), ({"waitPrompt": "", "apology": "Sorry."}, "", "Sorry.")],
)
def test_absent_spoken_line_differs_from_empty_line(given: Any, wait: str | None, apology: str | None) -> None:
    agent = AgentSettings.from_env(env(SPEC | given)).agent
    assert (agent.wait_prompt, agent.apology) == (wait, apology)


def test_key_of_fallback_provider_has_numbered_variable() -> None:
    listed = [{"provider": "openai", "model": "m"}, {"provider": "groq"}]
    spec = SPEC | {"llm": {"provider": "openai", "fallback": listed}}
    keys = {"VOICESESSION_LLM_API_KEY": "a", "VOICESESSION_LLM_FALLBACK_2_API_KEY": "c\n"}
    model = AgentSettings.from_env(env(spec, **keys)).agent.llm
    providers = (model, *model.fallback)
    assert [(p.name, p.model, p.api_key) for p in providers] == [
        ("openai", "", "a"),
        ("openai", "m", ""),
        ("groq", "", "c"),
    ]


def test_turn_detection_keeps_fallback_of_recognizer() -> None:
    spec = SPEC | {"stt": {"provider": "openai", "fallback": [{"provider": "moonshine"}]}}
    assert [p.name for p in AgentSettings.from_env(env(spec)).agent.stt.fallback] == ["moonshine"]


def test_turn_detection_is_removed_from_options() -> None:
    spec = SPEC | {"stt": {"provider": "openai", "options": {"turnDetection": "v1-mini", "prompt": "x"}}}
    agent = AgentSettings.from_env(env(spec)).agent
    assert agent.turn_detection == "v1-mini"
    assert dict(agent.stt.options) == {"prompt": "x"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "not JSON"),
        ("[]", "not an object"),
        ({"name": "x"}, "llm.provider is missing"),
        (SPEC | {"stt": "moonshine"}, "stt is not an object"),
        (SPEC | {"greeting": 5}, "greeting is not a string"),
        (SPEC | {"apology": 5}, "apology is not a string"),
        (SPEC | {"tts": {"fallback": "pico"}}, "tts.fallback is not a list"),
        (SPEC | {"tts": {"fallback": ["pico"]}}, "tts.fallback[0] is not an object"),
        (SPEC | {"stt": {"options": {"turnDetection": "cloud"}}}, "turnDetection must be one of vad, v1-mini"),
    ],
)
def test_invalid_agent_is_reported_without_error(spec: Any, words: str) -> None:
    assert words in AgentSettings.from_env(env(spec)).trouble


def test_entrypoint_requires_no_llm() -> None:
    assert AgentSettings.from_env(env({"name": "x", "entrypoint": "m:f"})).trouble == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"VOICESESSION_POD_UID": ""}, "VOICESESSION_POD_UID is not set"),
        ({"VOICESESSION_CONTROL_PUBLIC_KEY": ""}, "is not set"),
        ({"VOICESESSION_CONTROL_PUBLIC_KEY": "%%%"}, "not base64"),
        ({"VOICESESSION_CONTROL_PUBLIC_KEY": "AAAA"}, "3 bytes"),
        ({"VOICESESSION_CONTROL_PORT": "http"}, "not a port"),
        ({"VOICESESSION_CONTROL_PORT": "70000"}, "not a port"),
    ],
)
def test_invalid_control_setting_raises_error(change: dict[str, str], words: str) -> None:
    with pytest.raises(AgentSettingsError, match=words):
        AgentSettings.from_env(env() | change)


def test_export_sets_variables_of_jobs() -> None:
    exported: dict[str, str] = {}
    AgentSettings.from_env(env(LIVEKIT_URL="ws://livekit", VOICESESSION_JOB_SOCKET="/run/s")).export(exported)
    assert exported["VOICESESSION_JOB_SOCKET"] == "/run/s"
    assert exported["LIVEKIT_URL"] == "ws://livekit"
    assert exported["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] == "0"


def test_export_with_entrypoint_keeps_default_preloading() -> None:
    exported: dict[str, str] = {}
    AgentSettings.from_env(env({"entrypoint": "m:f"})).export(exported)
    assert "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE" not in exported
