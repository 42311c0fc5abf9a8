"""From a provider's name to its engine: embedded, an OpenAI-compatible endpoint, or a livekit plugin."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, Final, cast

from livekit.agents import llm, stt, tts

from voicesession_agent.settings import Provider

NO_KEY: Final = "none"
"""OpenAI's client requires a key; self-hosted endpoints need none."""


def make_stt(provider: Provider) -> stt.STT[Any]:
    """Create the speech-to-text engine.

    Raise ValueError if the provider is not installed (the message lists the installed ones) or refuses its options.
    """
    return cast(stt.STT[Any], _make("stt", provider, {"moonshine": _moonshine}))


def make_llm(provider: Provider) -> llm.LLM[Any]:
    """Create the language model; raise as `make_stt` does."""
    return cast(llm.LLM[Any], _make("llm", provider, {}))


def make_tts(provider: Provider) -> tts.TTS[Any]:
    """Create the text-to-speech engine; raise as `make_stt` does."""
    return cast(tts.TTS[Any], _make("tts", provider, {"pico": _pico}))


def _make(role: str, provider: Provider, embedded: dict[str, Callable[[Provider], Any]]) -> Any:
    if provider.name in embedded:
        return embedded[provider.name](provider)
    return _plugin(role, provider, [*embedded, *_installed_plugins()])


def _plugin(role: str, provider: Provider, available: list[str]) -> Any:
    try:
        module = importlib.import_module(f"livekit.plugins.{provider.name}")
        engine = getattr(module, role.upper())
    except (ImportError, AttributeError) as error:
        known = ", ".join(available)
        raise ValueError(f'{role}.provider "{provider.name}" is not installed; there is: {known}') from error
    arguments = _arguments(provider)
    try:
        inspect.signature(engine.__init__).bind(None, **arguments)
        return engine(**arguments)
    except TypeError as error:
        raise ValueError(f'{role}.provider "{provider.name}": {error}') from error


def _arguments(provider: Provider) -> dict[str, Any]:
    arguments = {
        "model": provider.model,
        "base_url": provider.base_url,
        "voice": provider.voice,
        "language": provider.language,
        "api_key": provider.api_key or (NO_KEY if provider.base_url else ""),
    }
    return {name: value for name, value in arguments.items() if value} | dict(provider.options)


def _installed_plugins() -> list[str]:
    try:
        plugins = importlib.import_module("livekit.plugins")
    except ImportError:
        return []
    return sorted(module.name for module in pkgutil.iter_modules(plugins.__path__))


def _moonshine(provider: Provider) -> stt.STT[Any]:
    from voicesession_agent.speech.moonshine import MoonshineSTT  # noqa: PLC0415 - costs 60 MB of memory

    _require_supported("stt", provider, languages=("", "en"))
    return MoonshineSTT()


def _pico(provider: Provider) -> tts.TTS[Any]:
    from voicesession_agent.speech.pico import VOICES, PicoTTS  # noqa: PLC0415 - only loaded if used

    voice = provider.voice or provider.language or VOICES[0]
    if voice not in VOICES:
        raise ValueError(f'tts.voice "{voice}": pico speaks {", ".join(VOICES)}')
    _require_supported("tts", provider, languages=("", *VOICES))
    return PicoTTS(voice)


def _require_supported(role: str, provider: Provider, languages: tuple[str, ...]) -> None:
    """Raise ValueError for a language or an option that an embedded engine does not have."""
    if provider.language not in languages:
        raise ValueError(
            f'{role}.language "{provider.language}": {provider.name} knows {", ".join(filter(None, languages))}'
        )
    if provider.options:
        raise ValueError(f"{role}.options: {provider.name} has none named {', '.join(provider.options)}")
