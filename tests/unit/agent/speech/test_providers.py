"""Engines by provider name, and the parts of the embedded engines that work without a model."""

from typing import Any

import pytest
from voicesession_agent.settings import Provider
from voicesession_agent.speech import providers
from voicesession_agent.speech.moonshine import without_phantom


def make(role: str, provider: Provider) -> Any:
    """Create an engine; no recognizer is used, so none needs voice detection."""
    detection: Any = None
    return providers.make_stt(provider, detection) if role == "stt" else getattr(providers, f"make_{role}")(provider)


def test_self_hosted_openai_endpoint_needs_no_key() -> None:
    engine = providers.make_llm(Provider(name="openai", model="scripted-1", base_url="http://llm/v1"))
    assert engine.model == "scripted-1"


def test_pico_provider_selects_embedded_voice() -> None:
    assert providers.make_tts(Provider(name="pico", voice="en-GB")).model == "svox-pico-en-GB"


@pytest.mark.parametrize(
    ("role", "provider", "message"),
    [
        ("stt", Provider(name="acme"), 'stt.provider "acme" is not installed; there is: moonshine, openai'),
        ("llm", Provider(name="acme"), "there is: openai"),
        ("tts", Provider(name="acme"), "there is: pico, openai"),
        ("tts", Provider(name="pico", voice="Bob"), "pico speaks en-US"),
        ("tts", Provider(name="pico", options={"speed": 2}), "pico has none named speed"),
        ("stt", Provider(name="moonshine", language="de"), "moonshine knows en"),
        ("stt", Provider(name="moonshine", model="large"), "stt.model: moonshine has none"),
        ("stt", Provider(name="moonshine", base_url="http://x"), "stt.baseURL: moonshine has none"),
        ("stt", Provider(name="moonshine", voice="Bob"), "stt.voice: moonshine has none"),
        ("stt", Provider(name="moonshine", api_key="k"), "stt.apiKeySecretRef: moonshine has none"),
        ("tts", Provider(name="pico", model="large"), "tts.model: pico has none"),
        ("tts", Provider(name="pico", voice="de-DE", language="en-US"), 'tts.language "en-US": pico knows de-DE, de'),
        ("llm", Provider(name="openai", options={"api_key": "k"}), "llm.options.api_key: a key belongs into a Secret"),
        ("llm", Provider(name="openai", model="m", base_url="http://x", options={"bogus": 1}), "bogus"),
        ("tts", Provider(name="pico", fallback=(Provider(name="acme"),)), 'tts.fallback[0].provider "acme" is not'),
        ("tts", Provider(name="pico", fallback=(Provider(name="pico", voice="Bob"),)), 'tts.fallback[0].voice "Bob"'),
    ],
)
def test_unusable_provider_error_lists_alternatives(role: str, provider: Provider, message: str) -> None:
    with pytest.raises(ValueError, match=role) as caught:
        make(role, provider)
    assert message in str(caught.value)


@pytest.mark.parametrize("provider", [Provider(name="pico", voice="de-DE", language="de"), Provider(name="pico")])
def test_pico_knows_language_of_voice(provider: Provider) -> None:
    assert make("tts", provider).model == f"svox-pico-{provider.voice or 'en-US'}"


@pytest.mark.parametrize(
    ("lines", "text"),
    [(["You"], ""), (["you."], ""), ([], ""), (["You said it."], "You said it."), (["One", "two."], "One two.")],
)
def test_phantom_word_of_silence_is_dropped(lines: list[str], text: str) -> None:
    assert without_phantom(lines) == text
