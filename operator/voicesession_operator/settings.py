"""The operator's settings. Only this module reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from voicesession_common.env import (
    LOG_LEVELS,
    SettingsError,
    read_choice,
    read_float,
    read_http_url,
    read_list,
    read_required,
    read_url,
)

from voicesession_operator.domain.observed import Config

__all__ = ["OperatorSettings", "SettingsError", "UninstallSettings"]


@dataclass(frozen=True, kw_only=True)
class OperatorSettings:
    """Settings of one installation; `repr` shows no secret."""

    pod_name: str
    pod_uid: str
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
    letta_allow_untagged: bool = False
    """VoiceAgents may use Letta agents that no operator has made, without the tag of their namespace."""
    watch_namespaces: tuple[str, ...] = ()
    http_port: int = 8080
    poll_seconds: float = 10.0
    lease_duration_seconds: int = 8
    log_level: str = "INFO"
    kubeconfig: str = ""
    otlp_endpoint: str = ""
    """Destination of spans; empty disables tracing."""
    trace_ratio: float = 1.0

    def __repr__(self) -> str:
        return f"OperatorSettings(release={self.release!r}, installation_id={self.installation_id!r})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment or `environ`. Raise SettingsError."""
        env = os.environ if environ is None else environ
        livekit_url = read_url(env, "LIVEKIT_URL")
        return cls(
            pod_name=read_required(env, "POD_NAME"),
            pod_uid=read_required(env, "POD_UID"),
            pod_namespace=read_required(env, "POD_NAMESPACE"),
            release=read_required(env, "RELEASE"),
            installation_id=read_required(env, "INSTALLATION_ID"),
            livekit_url=livekit_url,
            livekit_public_url=env.get("LIVEKIT_PUBLIC_URL", "") or livekit_url,
            livekit_api_key=read_required(env, "LIVEKIT_API_KEY"),
            livekit_api_secret=read_required(env, "LIVEKIT_API_SECRET"),
            control_private_key=read_required(env, "CONTROL_PRIVATE_KEY"),
            agent_image=read_required(env, "AGENT_IMAGE"),
            agent_image_pull_policy=read_choice(
                env, "AGENT_IMAGE_PULL_POLICY", "IfNotPresent", ("Always", "IfNotPresent", "Never")
            ),
            letta_url=env.get("LETTA_URL", "").strip(),
            letta_api_key=env.get("LETTA_API_KEY", "").strip(),
            letta_model=env.get("LETTA_MODEL", ""),
            letta_embedding=env.get("LETTA_EMBEDDING", ""),
            letta_allow_untagged=read_choice(env, "LETTA_ALLOW_UNTAGGED", "false", ("true", "false")) == "true",
            watch_namespaces=read_list(env, "WATCH_NAMESPACES"),
            http_port=int(read_float(env, "HTTP_PORT", 8080, 0, 65535)),
            poll_seconds=read_float(env, "POLL_SECONDS", 10, 1, 300),
            lease_duration_seconds=int(read_float(env, "LEASE_DURATION_SECONDS", 8, 2, 300)),
            log_level=read_choice(env, "LOG_LEVEL", "INFO", LOG_LEVELS),
            kubeconfig=env.get("KUBECONFIG", ""),
            otlp_endpoint=read_http_url(env, "OTEL_EXPORTER_OTLP_ENDPOINT"),
            trace_ratio=read_float(env, "OTEL_TRACES_SAMPLER_ARG", 1, 0, 1),
        )

    def config(self, control_public_key: str) -> Config:
        """Return the settings that `plan()` needs; the key is in base64."""
        return Config(
            agent_image=self.agent_image,
            pull_policy=self.agent_image_pull_policy,
            control_public_key=control_public_key,
            livekit_url=self.livekit_url,
            public_url=self.livekit_public_url,
            installation_id=self.installation_id,
            otlp_endpoint=self.otlp_endpoint,
            poll_seconds=self.poll_seconds,
        )


@dataclass(frozen=True, kw_only=True)
class UninstallSettings:
    """Settings of the uninstall hook: no secrets, Kubernetes only."""

    watch_namespaces: tuple[str, ...] = ()
    log_level: str = "INFO"
    kubeconfig: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment or `environ`. Raise SettingsError."""
        env = os.environ if environ is None else environ
        return cls(
            watch_namespaces=read_list(env, "WATCH_NAMESPACES"),
            log_level=read_choice(env, "LOG_LEVEL", "INFO", LOG_LEVELS),
            kubeconfig=env.get("KUBECONFIG", ""),
        )
