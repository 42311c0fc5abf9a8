"""From a provider's name to its engine: embedded, an OpenAI-compatible endpoint, or a livekit plugin."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from livekit.agents import llm, stt, tts, vad

from voicesession_agent.settings import Provider

NO_KEY: Final = "none"
"""OpenAI's client requires a key; self-hosted endpoints need none."""
FIELDS: Final = {"base_url": "baseURL", "api_key": "apiKeySecretRef"}
"""Names in the VoiceAgent that differ from those of Provider."""
KEY_OPTION: Final = "api_key"
"""Argument of every plug-in that would be readable in the VoiceAgent."""

Engine = TypeVar("Engine", stt.STT[Any], llm.LLM[Any], tts.TTS[Any])

FALLBACK_ATTEMPT_SECONDS: Final = 8.0
"""Time of a language model that has a fallback, for its first token and for each pause in its answer."""
RETRY_SECONDS: Final = 0.5


def make_stt(provider: Provider, detection: vad.VAD) -> stt.STT[Any]:
    """Create the speech-to-text engine, with its fallback; `detection` cuts the speech for engines without streaming.

    Raise ValueError if a provider is not installed (the message lists the installed ones) or refuses its options.
    """

    def adapt(engines: list[stt.STT[Any]]) -> stt.STT[Any]:
        return stt.FallbackAdapter(engines, vad=detection, retry_interval=RETRY_SECONDS)

    return _with_fallback("stt", provider, {"moonshine": _moonshine}, adapt)


def make_llm(provider: Provider) -> llm.LLM[Any]:
    """Create the language model, with its fallback; raise as `make_stt` does."""

    def adapt(engines: list[llm.LLM[Any]]) -> llm.LLM[Any]:
        return llm.FallbackAdapter(engines, attempt_timeout=FALLBACK_ATTEMPT_SECONDS, retry_interval=RETRY_SECONDS)

    return _with_fallback("llm", provider, {}, adapt)


def make_tts(provider: Provider) -> tts.TTS[Any]:
    """Create the text-to-speech engine, with its fallback; raise as `make_stt` does."""

    def adapt(engines: list[tts.TTS[Any]]) -> tts.TTS[Any]:
        return tts.FallbackAdapter(engines, max_retry_per_tts=1)

    return _with_fallback("tts", provider, {"pico": _pico}, adapt)


def _with_fallback(
    role: str,
    provider: Provider,
    embedded: dict[str, Callable[[str, Provider], Any]],
    adapt: Callable[[list[Engine]], Engine],
) -> Engine:
    """Return the engine of the provider, or an adapter for it and the engines of its fallback."""
    engines: list[Engine] = [_make(role, role, provider, embedded)]
    for number, other in enumerate(provider.fallback):
        engines.append(_make(role, f"{role}.fallback[{number}]", other, embedded))
    if len(engines) == 1:
        return engines[0]
    adapter = adapt(engines)
    for engine in engines:
        engine.on("error", partial(_forward_error, adapter))
    return adapter


def _forward_error(adapter: Any, error: Any) -> None:
    """Tell the session why an engine of the adapter failed; the adapter itself only says that all did."""
    adapter.emit("error", error.model_copy(update={"recoverable": True}))


def _make(role: str, path: str, provider: Provider, embedded: dict[str, Callable[[str, Provider], Any]]) -> Any:
    """Create one engine; `path` names the provider's field in the VoiceAgent."""
    if provider.name in embedded:
        return embedded[provider.name](path, provider)
    return _plugin(role, path, provider, [*embedded, *_installed_plugins()])


def _plugin(role: str, path: str, provider: Provider, available: list[str]) -> Any:
    try:
        module = importlib.import_module(f"livekit.plugins.{provider.name}")
        engine = getattr(module, role.upper())
    except (ImportError, AttributeError) as error:
        known = ", ".join(available)
        raise ValueError(f'{path}.provider "{provider.name}" is not installed; there is: {known}') from error
    if KEY_OPTION in provider.options:
        raise ValueError(f"{path}.options.{KEY_OPTION}: a key belongs into a Secret, see {path}.apiKeySecretRef")
    arguments = _arguments(provider)
    try:
        inspect.signature(engine.__init__).bind(None, **arguments)
        return engine(**arguments)
    except TypeError as error:
        raise ValueError(f'{path}.provider "{provider.name}": {error}') from error


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


def _moonshine(path: str, provider: Provider) -> stt.STT[Any]:
    from voicesession_agent.speech.moonshine import MoonshineSTT  # noqa: PLC0415 - costs 60 MB of memory

    _require_supported(path, provider, languages=("", "en", "en-US", "en-GB"))
    _require_unset(path, provider, ("model", "base_url", "voice", "api_key"))
    return MoonshineSTT()


def _pico(path: str, provider: Provider) -> tts.TTS[Any]:
    from voicesession_agent.speech.pico import VOICES, PicoTTS  # noqa: PLC0415 - only loaded if used

    voice = provider.voice or provider.language or VOICES[0]
    if voice not in VOICES:
        raise ValueError(f'{path}.voice "{voice}": pico speaks {", ".join(VOICES)}')
    _require_supported(path, provider, languages=("", voice, voice.partition("-")[0]))
    _require_unset(path, provider, ("model", "base_url", "api_key"))
    return PicoTTS(voice)


def _require_supported(path: str, provider: Provider, languages: tuple[str, ...]) -> None:
    """Raise ValueError for a language or an option that an embedded engine does not have."""
    if provider.language not in languages:
        raise ValueError(
            f'{path}.language "{provider.language}": {provider.name} knows {", ".join(filter(None, languages))}'
        )
    if provider.options:
        raise ValueError(f"{path}.options: {provider.name} has none named {', '.join(provider.options)}")


def _require_unset(path: str, provider: Provider, fields: Sequence[str]) -> None:
    """Raise ValueError for a field that an embedded engine would ignore."""
    for field in fields:
        if getattr(provider, field):
            raise ValueError(f"{path}.{FIELDS.get(field, field)}: {provider.name} has none")
