"""The operator's configuration: the only place that reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message is one line and names the variable."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One installation's settings; `repr` shows no secret."""

    pod_name: str
    pod_namespace: str
    release: str
    installation_id: str
    livekit_url: str
    livekit_public_url: str
    livekit_api_key: str
    livekit_api_secret: str
    control_private_key: str
    agent_image: str
    agent_image_pull_policy: str = "IfNotPresent"
    letta_url: str = ""
    letta_api_key: str = ""
    letta_model: str = ""
    letta_embedding: str = ""
    watch_namespaces: tuple[str, ...] = ()
    http_port: int = 8080
    poll_seconds: float = 10.0
    lease_duration_seconds: int = 8
    log_level: str = "INFO"
    kubeconfig: str = ""
    otlp_endpoint: str = ""
    """Where spans are sent; empty: nowhere."""
    trace_ratio: float = 1.0

    def __repr__(self) -> str:
        return f"Settings(release={self.release!r}, installation_id={self.installation_id!r})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment (or `environ`). Raises SettingsError."""
        env = os.environ if environ is None else environ
        livekit_url = _url(env, "LIVEKIT_URL")
        return cls(
            pod_name=_required(env, "POD_NAME"),
            pod_namespace=_required(env, "POD_NAMESPACE"),
            release=_required(env, "RELEASE"),
            installation_id=_required(env, "INSTALLATION_ID"),
            livekit_url=livekit_url,
            livekit_public_url=env.get("LIVEKIT_PUBLIC_URL", "") or livekit_url,
            livekit_api_key=_required(env, "LIVEKIT_API_KEY"),
            livekit_api_secret=_required(env, "LIVEKIT_API_SECRET"),
            control_private_key=_required(env, "CONTROL_PRIVATE_KEY"),
            agent_image=_required(env, "AGENT_IMAGE"),
            agent_image_pull_policy=_choice(
                env, "AGENT_IMAGE_PULL_POLICY", "IfNotPresent", ("Always", "IfNotPresent", "Never")
            ),
            letta_url=env.get("LETTA_URL", ""),
            letta_api_key=env.get("LETTA_API_KEY", ""),
            letta_model=env.get("LETTA_MODEL", ""),
            letta_embedding=env.get("LETTA_EMBEDDING", ""),
            watch_namespaces=_names(env, "WATCH_NAMESPACES"),
            http_port=int(_number(env, "HTTP_PORT", 8080, 0, 65535)),
            poll_seconds=_number(env, "POLL_SECONDS", 10, 1, 300),
            lease_duration_seconds=int(_number(env, "LEASE_DURATION_SECONDS", 8, 2, 300)),
            log_level=_choice(env, "LOG_LEVEL", "INFO", LOG_LEVELS),
            kubeconfig=env.get("KUBECONFIG", ""),
            otlp_endpoint=_web_address(env, "OTEL_EXPORTER_OTLP_ENDPOINT"),
            trace_ratio=_number(env, "OTEL_TRACES_SAMPLER_ARG", 1, 0, 1),
        )


@dataclass(frozen=True, kw_only=True)
class UninstallSettings:
    """What the uninstall hook needs: it holds no secret and talks to Kubernetes only."""

    watch_namespaces: tuple[str, ...] = ()
    log_level: str = "INFO"
    kubeconfig: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment (or `environ`). Raises SettingsError."""
        env = os.environ if environ is None else environ
        return cls(
            watch_namespaces=_names(env, "WATCH_NAMESPACES"),
            log_level=_choice(env, "LOG_LEVEL", "INFO", LOG_LEVELS),
            kubeconfig=env.get("KUBECONFIG", ""),
        )


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _url(env: Mapping[str, str], name: str) -> str:
    value = _required(env, name)
    if not value.startswith(("http://", "https://", "ws://", "wss://")):
        raise SettingsError(f"{name} must begin with http://, https://, ws:// or wss://, not {value!r}")
    return value


def _web_address(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if value and not value.startswith(("http://", "https://")):
        raise SettingsError(f"{name} must begin with http:// or https://, not {value!r}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        raise SettingsError(f"{name} must be a number, not {text!r}") from None
    if not low <= value <= high:
        raise SettingsError(f"{name} must be between {low:g} and {high:g}, not {text}")
    return value


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name, "").strip() or default
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _names(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
