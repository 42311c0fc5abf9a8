"""Configuration of the gateway. No other module of the gateway reads the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from voicesession_common.bounds import Rate
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

from voicesession_gateway.admission import Quota

__all__ = ["AUTH_MODES", "GatewaySettings", "OidcSettings", "SettingsError"]

NONE: Final = "none"
KEYS: Final = "keys"
OIDC: Final = "oidc"
AUTH_MODES: Final = (NONE, KEYS, OIDC)


@dataclass(frozen=True, kw_only=True)
class OidcSettings:
    """The accepted OpenID Connect tokens, and the claims that hold the caller and the user."""

    issuer: str
    audience: str
    jwks_url: str = ""
    """Empty: taken from the issuer's discovery document."""
    caller_claim: str = "sub"
    user_claim: str = "sub"


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """Settings of one replica; `repr` shows no secret."""

    namespace: str
    livekit_public_url: str
    livekit_api_key: str
    livekit_api_secret: str = field(repr=False)
    caller_rate: Rate
    user_rate: Rate
    quota: Quota
    auth: str = KEYS
    keys_dir: str = ""
    oidc: OidcSettings | None = None
    default_agent: str = ""
    page_dir: str = ""
    cors_origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None
    """Host names accepted besides localhost and IP addresses. None accepts every name: callers authenticate."""
    streams_per_caller: int = 100
    ready_seconds: float = 120
    token_seconds: float = 300
    http_port: int = 9000
    metrics_port: int = 9001
    log_level: str = "INFO"
    kubeconfig: str = ""
    pod_name: str = ""
    otlp_endpoint: str = ""
    """Empty: tracing is off."""
    trace_ratio: float = 1

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `environ`, by default the process environment. Raises SettingsError."""
        env = os.environ if environ is None else environ
        auth = read_choice(env, "AUTH_MODE", KEYS, AUTH_MODES)
        return cls(
            namespace=read_required(env, "NAMESPACE"),
            livekit_public_url=read_url(env, "LIVEKIT_PUBLIC_URL"),
            livekit_api_key=read_required(env, "LIVEKIT_API_KEY"),
            livekit_api_secret=read_required(env, "LIVEKIT_API_SECRET"),
            auth=auth,
            keys_dir=read_required(env, "KEYS_DIR") if auth == KEYS else "",
            oidc=_oidc(env) if auth == OIDC else None,
            default_agent=env.get("DEFAULT_AGENT", "").strip(),
            page_dir=env.get("PAGE_DIR", "").strip(),
            cors_origins=read_list(env, "CORS_ORIGINS"),
            hosts=tuple(name.lower() for name in read_list(env, "HOSTS")) if auth == NONE else None,
            caller_rate=_rate(env, "CALLER", 10, 50),
            user_rate=_rate(env, "USER", 1, 10),
            quota=Quota(_count(env, "CALLER_SESSIONS", 50), _count(env, "USER_SESSIONS", 3)),
            streams_per_caller=_count(env, "CALLER_STREAMS", 100),
            ready_seconds=read_float(env, "READY_SECONDS", 120, 1, 3600),
            token_seconds=read_float(env, "TOKEN_SECONDS", 300, 10, 86400),
            http_port=int(read_float(env, "HTTP_PORT", 9000, 0, 65535)),
            metrics_port=int(read_float(env, "METRICS_PORT", 9001, 0, 65535)),
            log_level=read_choice(env, "LOG_LEVEL", "INFO", LOG_LEVELS),
            kubeconfig=env.get("KUBECONFIG", ""),
            pod_name=env.get("POD_NAME", ""),
            otlp_endpoint=read_http_url(env, "OTEL_EXPORTER_OTLP_ENDPOINT"),
            trace_ratio=read_float(env, "OTEL_TRACES_SAMPLER_ARG", 1, 0, 1),
        )


def _oidc(env: Mapping[str, str]) -> OidcSettings:
    return OidcSettings(
        issuer=read_url(env, "OIDC_ISSUER"),
        audience=read_required(env, "OIDC_AUDIENCE"),
        jwks_url=read_url(env, "OIDC_JWKS_URL") if env.get("OIDC_JWKS_URL") else "",
        caller_claim=env.get("OIDC_CALLER_CLAIM", "").strip() or "sub",
        user_claim=env.get("OIDC_USER_CLAIM", "").strip() or "sub",
    )


def _rate(env: Mapping[str, str], prefix: str, per_second: float, burst: int) -> Rate:
    return Rate(
        read_float(env, f"{prefix}_REQUESTS_PER_SECOND", per_second, 0.001, 10_000),
        int(read_float(env, f"{prefix}_BURST", burst, 1, 100_000)),
    )


def _count(env: Mapping[str, str], name: str, default: int) -> int:
    return int(read_float(env, name, default, 0, 100_000))
