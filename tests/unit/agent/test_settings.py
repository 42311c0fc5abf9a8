"""Settings of the agent pod: defaults, parsing, errors and exported variables."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from voicesession_agent.settings import DEFAULT_INSTRUCTIONS, AgentSettings, AgentSettingsError, conceal_secrets

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
    assert exported["LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS"] == "0"


def test_export_with_entrypoint_keeps_default_preloading() -> None:
    exported: dict[str, str] = {}
    AgentSettings.from_env(env({"entrypoint": "m:f"})).export(exported)
    assert not any(name.startswith("LIVEKIT_AGENTS_") for name in exported)


@pytest.mark.parametrize(
    ("text", "concealed"),
    [
        ("401: bad key long-secret-1", "401: bad key <CRM_API_KEY>"),
        ("long-secret-1-b and long-secret-1", "<CRM_TOKEN> and <CRM_API_KEY>"),
        ("cannot reach redis://app:hunter2@redis/0", "cannot reach redis://app:***@redis/0"),
        ("no such voice: en-GB-male, short", "no such voice: en-GB-male, short"),
        ("two\nlines\t\x1b[31m", "two lines [31m"),
    ],
)
def test_conceal_secrets_returns_line_without_secrets(text: str, concealed: str) -> None:
    variables = {"CRM_API_KEY": "long-secret-1\n", "CRM_TOKEN": "long-secret-1-b", "PIN_KEY": "short"}
    assert conceal_secrets(text, variables | {"VOICE": "en-GB-male"}) == concealed


def test_conceal_secrets_shortens_text() -> None:
    assert len(conceal_secrets("x" * 2_000_000, {})) == 1024


def export(tmp_path: Path, **variables: str) -> dict[str, str]:
    exported = dict(variables)
    AgentSettings.from_env(env()).export(exported, tmp_path / "tmp")
    return exported


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the HOME of an image, in a file system that is read-only except for `tmp`."""
    made = tmp_path / "home"
    made.mkdir()
    (tmp_path / "tmp").mkdir()

    def access(path: Path | str, mode: int) -> bool:
        return Path(path).exists() and not (mode & os.W_OK)

    monkeypatch.setattr(os, "access", access)
    return made


def test_export_keeps_home_and_links_models_into_writable_cache(home: Path, tmp_path: Path) -> None:
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "model").write_text("weights")
    for _ in range(2):
        exported = export(tmp_path, HOME=str(home))
        assert (exported["HOME"], exported["XDG_CACHE_HOME"]) == (str(home), str(tmp_path / "tmp" / "cache"))
    assert Path(exported["XDG_CACHE_HOME"], "huggingface", "model").read_text() == "weights"
    assert "HF_HOME" not in exported


def test_export_keeps_own_cache_folder(home: Path, tmp_path: Path) -> None:
    assert export(tmp_path, HOME=str(home), XDG_CACHE_HOME="/models")["XDG_CACHE_HOME"] == "/models"


@pytest.mark.parametrize("variables", [{}, {"HOME": "/"}, {"HOME": "/no/such/folder"}])
@pytest.mark.usefixtures("home")
def test_export_without_usable_home_sets_temporary_folder(variables: dict[str, str], tmp_path: Path) -> None:
    assert export(tmp_path, **variables)["HOME"] == str(tmp_path / "tmp")


def test_export_with_writable_home_keeps_variables(tmp_path: Path) -> None:
    exported = export(tmp_path, HOME=str(tmp_path))
    assert (exported["HOME"], "XDG_CACHE_HOME" in exported) == (str(tmp_path), False)
