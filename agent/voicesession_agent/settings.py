"""Settings of the agent pod from environment variables; no other module reads or writes the environment."""

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

KEY_BYTES: Final = 32
"""Length of a raw Ed25519 public key (RFC 8032)."""
JOB_SOCKET: Final = "VOICESESSION_JOB_SOCKET"
DEFAULT_INSTRUCTIONS: Final = "You are a friendly voice assistant. Answer in one or two short spoken sentences."
TURN_DETECTIONS: Final = ("vad", "v1-mini")
SECRET_NAMES: Final = re.compile("KEY|SECRET|TOKEN|PASS|CREDENTIAL|AUTH|DSN", re.IGNORECASE)
"""Names of variables whose values no message may contain."""
SECRET_CHARACTERS: Final = 8
"""Shortest value that counts as a secret; a shorter one can be a part of any word."""
TEMPORARY: Final = Path("/tmp")  # noqa: S108 - an emptyDir of this pod, and its only writable path
MESSAGE_CHARACTERS: Final = 1024
"""A status condition keeps no more."""
URL_PASSWORD: Final = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")


class AgentSettingsError(ValueError):
    """A setting of the control port is missing or malformed, so the operator could not reach this pod."""


@dataclass(frozen=True)
class Provider:
    """Speech-to-text, language model or text-to-speech provider; `options` are further constructor arguments."""

    name: str = ""
    model: str = ""
    base_url: str = ""
    voice: str = ""
    language: str = ""
    api_key: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentSpec:
    """Specification of the VoiceAgent, as its process uses it.

    `turn_detection` comes from `stt.options.turnDetection`: `vad` (silence ends a turn) or `v1-mini` (the end-of-turn
    model of livekit-local-inference, 250 MB more).
    """

    name: str = ""
    display_name: str = ""
    instructions: str = DEFAULT_INSTRUCTIONS
    greeting: str = ""
    idle_prompt: str = ""
    entrypoint: str = ""
    stt: Provider = Provider(name="moonshine")
    llm: Provider = Provider()
    tts: Provider = Provider(name="pico")
    turn_detection: str = "vad"


@dataclass(frozen=True)
class AgentSettings:
    """Settings of one agent pod."""

    pod_uid: str
    public_key: bytes
    control_port: int = 8080
    metrics_port: int = 9001
    livekit_url: str = ""
    agent: AgentSpec = AgentSpec()
    trouble: str = ""
    """Reason for an unusable `agent`; the pod stays up and reports it. Empty if `agent` is valid."""
    job_socket: str = "/tmp/voicesession-job.sock"  # noqa: S108 - an emptyDir of this pod, not shared
    log_level: str = "INFO"
    otlp_endpoint: str = ""
    """Endpoint of the trace collector; empty turns tracing off.

    OpenTelemetry's own variable is not used, because libraries in user code would read it too.
    """

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "AgentSettings":
        """Read the settings. Raise AgentSettingsError if the pod UID, a port or the control key is invalid."""
        agent, trouble = _agent(env)
        return cls(
            pod_uid=_required(env, "VOICESESSION_POD_UID"),
            public_key=_public_key(_required(env, "VOICESESSION_CONTROL_PUBLIC_KEY")),
            control_port=_port(env, "VOICESESSION_CONTROL_PORT", cls.control_port),
            metrics_port=_port(env, "VOICESESSION_METRICS_PORT", cls.metrics_port),
            livekit_url=env.get("LIVEKIT_URL", ""),
            agent=agent,
            trouble=trouble,
            job_socket=env.get(JOB_SOCKET, cls.job_socket),
            log_level=env.get("LOG_LEVEL", "INFO").upper(),
            otlp_endpoint=env.get("VOICESESSION_OTLP_ENDPOINT", ""),
        )

    @classmethod
    def load(cls) -> "AgentSettings":
        """Read the settings from this process's environment."""
        return cls.from_env(os.environ)

    def export(self, env: MutableMapping[str, str] = os.environ, temporary: Path = TEMPORARY) -> None:
        """Set the environment variables that jobs inherit; `temporary` is a writable folder.

        livekit-agents requires an API key and a secret, but uses neither when it gets a finished token.
        """
        env[JOB_SOCKET] = self.job_socket
        env.setdefault("LIVEKIT_URL", self.livekit_url)
        env.setdefault("LIVEKIT_API_KEY", "unused")
        env.setdefault("LIVEKIT_API_SECRET", "unused" * 6)
        _provide_cache(env, temporary)
        if not self.agent.entrypoint:
            end_of_turn = self.agent.turn_detection == "v1-mini"
            env.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "1" if end_of_turn else "0")


def _provide_cache(env: MutableMapping[str, str], temporary: Path) -> None:
    """Give libraries a writable cache in the read-only file system, and keep the image's HOME with its models.

    The cache links to the contents of `~/.cache` in the image. A user without a home gets the temporary folder.
    """
    home = env.get("HOME", "/")
    if home == "/" or not os.access(home, os.R_OK | os.X_OK):
        env["HOME"] = str(temporary)
        return
    baked, cache = Path(home, ".cache"), temporary / "cache"
    if "XDG_CACHE_HOME" in env or os.access(baked if baked.exists() else home, os.W_OK):
        return
    cache.mkdir(exist_ok=True)
    for entry in baked.iterdir() if os.access(baked, os.R_OK) else ():
        if not (link := cache / entry.name).is_symlink():
            link.symlink_to(entry)
    env["XDG_CACHE_HOME"] = str(cache)


def conceal_secrets(text: str, env: Mapping[str, str] = os.environ) -> str:
    """Return an error's text in one short line, with names in place of secret variables and no password in a URL.

    Programs of users write anything into their errors, and a condition's message is read by more people than a Secret.
    """
    secrets = {value.strip(): name for name, value in env.items() if SECRET_NAMES.search(name)}
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= SECRET_CHARACTERS:
            text = text.replace(value, f"<{secrets[value]}>")
    text = URL_PASSWORD.sub(r"\1***@", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MESSAGE_CHARACTERS]


def _required(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise AgentSettingsError(f"{name} is not set")
    return env[name]


def _public_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AgentSettingsError("VOICESESSION_CONTROL_PUBLIC_KEY is not base64") from error
    if len(key) != KEY_BYTES:
        raise AgentSettingsError(f"VOICESESSION_CONTROL_PUBLIC_KEY has {len(key)} bytes, not {KEY_BYTES}")
    return key


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or not 0 <= int(text) <= 65535:  # noqa: PLR2004 - the range of TCP ports
        raise AgentSettingsError(f"{name} is not a port number")
    return int(text)


def _agent(env: Mapping[str, str]) -> tuple[AgentSpec, str]:
    try:
        spec = json.loads(_definition(env))
    except json.JSONDecodeError:
        return AgentSpec(), "VOICESESSION_AGENT is not JSON"
    try:
        return _parse(spec, env), ""
    except (AttributeError, TypeError, ValueError) as error:
        return AgentSpec(), f"VOICESESSION_AGENT: {error}"


def _definition(env: Mapping[str, str]) -> str:
    """Return the definition of the agent; a long one continues in VOICESESSION_AGENT_2, _3 and so on."""
    text = env.get("VOICESESSION_AGENT", "")
    number = 2
    while (part := env.get(f"VOICESESSION_AGENT_{number}")) is not None:
        text += part
        number += 1
    return text


def _parse(spec: dict[str, Any], env: Mapping[str, str]) -> AgentSpec:
    if not isinstance(spec, dict):
        raise TypeError("not an object")
    entrypoint = _text(spec, "entrypoint", "")
    stt, turn_detection = _turn_detection(_provider(spec, "stt", "moonshine", env))
    llm = _provider(spec, "llm", "", env)
    if not entrypoint and not llm.name:
        raise ValueError("llm.provider is missing")
    return AgentSpec(
        name=_text(spec, "name", ""),
        display_name=_text(spec, "displayName", _text(spec, "name", "")),
        instructions=_text(spec, "instructions", DEFAULT_INSTRUCTIONS),
        greeting=_text(spec, "greeting", ""),
        idle_prompt=_text(spec, "idlePrompt", ""),
        entrypoint=entrypoint,
        stt=stt,
        llm=llm,
        tts=_provider(spec, "tts", "pico", env),
        turn_detection=turn_detection,
    )


def _provider(spec: dict[str, Any], role: str, default: str, env: Mapping[str, str]) -> Provider:
    raw = spec.get(role) or {}
    if not isinstance(raw, dict) or not isinstance(raw.get("options") or {}, dict):
        raise TypeError(f"{role} is not an object")
    return Provider(
        name=_text(raw, "provider", default),
        model=_text(raw, "model", ""),
        base_url=_text(raw, "baseURL", ""),
        voice=_text(raw, "voice", ""),
        language=_text(raw, "language", ""),
        api_key=env.get(f"VOICESESSION_{role.upper()}_API_KEY", "").strip(),
        options=dict(raw.get("options") or {}),
    )


def _turn_detection(stt: Provider) -> tuple[Provider, str]:
    options = dict(stt.options)
    chosen = options.pop("turnDetection", TURN_DETECTIONS[0])
    if chosen not in TURN_DETECTIONS:
        raise ValueError(f"stt.options.turnDetection must be one of {', '.join(TURN_DETECTIONS)}")
    values = {name: getattr(stt, name) for name in stt.__dataclass_fields__} | {"options": options}
    return Provider(**values), chosen


def _text(raw: Mapping[str, Any], name: str, default: str) -> str:
    value = raw.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise TypeError(f"{name} is not a string")
    return value
