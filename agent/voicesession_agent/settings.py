"""Settings of the agent pod from environment variables; no other module reads or writes the environment."""

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

KEY_BYTES: Final = 32
"""Length of a raw Ed25519 public key (RFC 8032)."""
JOB_SOCKET: Final = "VOICESESSION_JOB_SOCKET"
PROGRAM_MARK: Final = "VOICESESSION_JOB_PID"
"""Variable of every program that a job starts: the job's process id."""
ROOM_TOKEN: Final = "LIVEKIT_TOKEN"  # noqa: S105 - a variable's name
"""Variable of livekit-api with a finished token, which it prefers to a key and a secret."""
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
    """Speech-to-text, language model or text-to-speech provider; `options` are further constructor arguments.

    The providers of `fallback` are used in their order while this one fails; they have no fallback of their own.
    """

    name: str = ""
    model: str = ""
    base_url: str = ""
    voice: str = ""
    language: str = ""
    api_key: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    fallback: tuple["Provider", ...] = ()


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
    wait_prompt: str | None = None
    """Said while the language model is slow; None stands for the built-in text, an empty text for silence."""
    apology: str | None = None
    """Said when a provider fails, as `wait_prompt`."""
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
    shutdown_seconds: float = 10.0
    """Time for the shutdown callbacks of a job, from the VoiceAgent's `pod.shutdownSeconds`."""
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
            shutdown_seconds=_shutdown_seconds(env, cls.shutdown_seconds),
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
            env.setdefault("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")  # for authors; it wakes a job 100 times a second


def use_room_token(token: str, env: MutableMapping[str, str] = os.environ) -> None:
    """Make `token` the credentials of LiveKit's API in this process: of `ctx.api` and of `LiveKitAPI()`."""
    env[ROOM_TOKEN] = token


def mark_programs(job: int, env: MutableMapping[str, str] = os.environ) -> None:
    """Set the variable by which the programs that this process starts are found; `job` is its process id."""
    env[PROGRAM_MARK] = str(job)


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


def _shutdown_seconds(env: Mapping[str, str], default: float) -> float:
    text = env.get("VOICESESSION_SHUTDOWN_SECONDS", f"{default:g}")
    if not text.isdecimal() or len(text) > 3:  # noqa: PLR2004 - the CRD allows at most 300
        raise AgentSettingsError("VOICESESSION_SHUTDOWN_SECONDS is not a number of seconds")
    return float(text)


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
        wait_prompt=_optional_text(spec, "waitPrompt"),
        apology=_optional_text(spec, "apology"),
        entrypoint=entrypoint,
        stt=stt,
        llm=llm,
        tts=_provider(spec, "tts", "pico", env),
        turn_detection=turn_detection,
    )


def _provider(spec: dict[str, Any], role: str, default: str, env: Mapping[str, str]) -> Provider:
    raw = spec.get(role) or {}
    variable = f"VOICESESSION_{role.upper()}"
    main = _single_provider(raw, role, default, env.get(f"{variable}_API_KEY", ""))
    listed = raw.get("fallback") or []
    if not isinstance(listed, list):
        raise TypeError(f"{role}.fallback is not a list")
    others = (
        _single_provider(item, f"{role}.fallback[{n}]", "", env.get(f"{variable}_FALLBACK_{n + 1}_API_KEY", ""))
        for n, item in enumerate(listed)
    )
    return replace(main, fallback=tuple(others))


def _single_provider(raw: Any, path: str, default: str, api_key: str) -> Provider:
    if not isinstance(raw, dict) or not isinstance(raw.get("options") or {}, dict):
        raise TypeError(f"{path} is not an object")
    return Provider(
        name=_text(raw, "provider", default),
        model=_text(raw, "model", ""),
        base_url=_text(raw, "baseURL", ""),
        voice=_text(raw, "voice", ""),
        language=_text(raw, "language", ""),
        api_key=api_key.strip(),
        options=dict(raw.get("options") or {}),
    )


def _turn_detection(stt: Provider) -> tuple[Provider, str]:
    options = dict(stt.options)
    chosen = options.pop("turnDetection", TURN_DETECTIONS[0])
    if chosen not in TURN_DETECTIONS:
        raise ValueError(f"stt.options.turnDetection must be one of {', '.join(TURN_DETECTIONS)}")
    return replace(stt, options=options), chosen


def _text(raw: Mapping[str, Any], name: str, default: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str | None):
        raise TypeError(f"{name} is not a string")
    return value or default


def _optional_text(raw: Mapping[str, Any], name: str) -> str | None:
    """Return a text, which may be empty, or None if there is none."""
    return None if raw.get(name) is None else _text(raw, name, "")
