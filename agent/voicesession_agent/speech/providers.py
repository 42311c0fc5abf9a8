"""From a provider's name to its engine: embedded, any OpenAI-compatible endpoint, or a livekit plugin by name."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, Final, cast

from livekit.agents import llm, stt, tts

from voicesession_agent.settings import Provider

NO_KEY: Final = "none"
"""OpenAI's client insists on a key; endpoints of one's own need none."""


def make_stt(provider: Provider) -> stt.STT[Any]:
    """Raise ValueError naming what is installed when the provider is not, or does not take these options."""
    return cast(stt.STT[Any], _make("stt", provider, {"moonshine": _moonshine}))


def make_llm(provider: Provider) -> llm.LLM[Any]:
    """As make_stt."""
    return cast(llm.LLM[Any], _make("llm", provider, {}))


def make_tts(provider: Provider) -> tts.TTS[Any]:
    """As make_stt."""
    return cast(tts.TTS[Any], _make("tts", provider, {"pico": _pico}))


def _make(role: str, provider: Provider, embedded: dict[str, Callable[[Provider], Any]]) -> Any:
    if provider.name in embedded:
        return embedded[provider.name](provider)
    return _plugin(role, provider, [*embedded, *_installed_plugins()])


def _plugin(role: str, provider: Provider, known: list[str]) -> Any:
    try:
        module = importlib.import_module(f"livekit.plugins.{provider.name}")
        engine = getattr(module, role.upper())
    except (ImportError, AttributeError) as error:
        raise ValueError(f'{role}.provider "{provider.name}" is not installed; there is: {", ".join(known)}') from error
    given = _arguments(provider)
    try:
        inspect.signature(engine.__init__).bind(None, **given)
        return engine(**given)
    except TypeError as error:
        raise ValueError(f'{role}.provider "{provider.name}": {error}') from error


def _arguments(provider: Provider) -> dict[str, Any]:
    given = {
        "model": provider.model,
        "base_url": provider.base_url,
        "voice": provider.voice,
        "language": provider.language,
        "api_key": provider.api_key or (NO_KEY if provider.base_url else ""),
    }
    return {name: value for name, value in given.items() if value} | dict(provider.options)


def _installed_plugins() -> list[str]:
    try:
        plugins = importlib.import_module("livekit.plugins")
    except ImportError:
        return []
    return sorted(found.name for found in pkgutil.iter_modules(plugins.__path__))


def _moonshine(provider: Provider) -> stt.STT[Any]:
    from voicesession_agent.speech.moonshine import MoonshineSTT  # noqa: PLC0415 - 60 MB only where it is used

    _only("stt", provider, languages=("", "en"))
    return MoonshineSTT()


def _pico(provider: Provider) -> tts.TTS[Any]:
    from voicesession_agent.speech.pico import VOICES, PicoTTS  # noqa: PLC0415 - as above

    voice = provider.voice or provider.language or VOICES[0]
    if voice not in VOICES:
        raise ValueError(f'tts.voice "{voice}": pico speaks {", ".join(VOICES)}')
    _only("tts", provider, languages=("", *VOICES))
    return PicoTTS(voice)


def _only(role: str, provider: Provider, languages: tuple[str, ...]) -> None:
    if provider.language not in languages:
        raise ValueError(
            f'{role}.language "{provider.language}": {provider.name} knows {", ".join(filter(None, languages))}'
        )
    if provider.options:
        raise ValueError(f"{role}.options: {provider.name} has none named {', '.join(provider.options)}")
