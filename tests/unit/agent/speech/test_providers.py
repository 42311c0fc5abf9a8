"""Providers by name, and the parts of the embedded engines that need no model."""

import pytest
from voicesession_agent.settings import Provider
from voicesession_agent.speech import providers as factories
from voicesession_agent.speech.moonshine import real_words


def test_an_openai_endpoint_of_ones_own_needs_no_key() -> None:
    engine = factories.make_llm(Provider(name="openai", model="scripted-1", base_url="http://llm/v1"))
    assert engine.model == "scripted-1"


def test_pico_is_embedded() -> None:
    assert factories.make_tts(Provider(name="pico", voice="en-GB")).model == "svox-pico-en-GB"


@pytest.mark.parametrize(
    ("role", "provider", "words"),
    [
        ("stt", Provider(name="acme"), 'stt.provider "acme" is not installed; there is: moonshine, openai'),
        ("llm", Provider(name="acme"), "there is: openai"),
        ("tts", Provider(name="acme"), "there is: pico, openai"),
        ("tts", Provider(name="pico", voice="Bob"), "pico speaks en-US"),
        ("tts", Provider(name="pico", options={"speed": 2}), "pico has none named speed"),
        ("stt", Provider(name="moonshine", language="de"), "moonshine knows en"),
        ("llm", Provider(name="openai", model="m", base_url="http://x", options={"bogus": 1}), "bogus"),
    ],
)
def test_errors_say_what_there_is(role: str, provider: Provider, words: str) -> None:
    with pytest.raises(ValueError, match=role) as caught:
        getattr(factories, f"make_{role}")(provider)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "text"),
    [(["You"], ""), (["you."], ""), ([], ""), (["You said it."], "You said it."), (["One", "two."], "One two.")],
)
def test_the_word_heard_in_silence_is_dropped(lines: list[str], text: str) -> None:
    assert real_words(lines) == text
