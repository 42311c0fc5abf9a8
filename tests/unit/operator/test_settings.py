"""Settings: complete, or one line that names the variable."""

import pytest
from voicesession_operator.settings import Settings, SettingsError

ENOUGH = {
    "POD_NAME": "operator-0",
    "POD_NAMESPACE": "voicesession-system",
    "RELEASE": "voicesession",
    "INSTALLATION_ID": "installation-1",
    "LIVEKIT_URL": "ws://livekit:7880",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a secret that nobody may see",
    "CONTROL_PRIVATE_KEY": "a key that nobody may see",
    "AGENT_IMAGE": "voicesession/agent:0.1.0",
}


def test_defaults() -> None:
    settings = Settings.from_env(ENOUGH)
    assert settings.livekit_public_url == "ws://livekit:7880"
    assert settings.watch_namespaces == ()
    assert (settings.http_port, settings.poll_seconds, settings.lease_duration_seconds) == (8080, 10, 8)
    assert settings.letta_url == ""
    assert (settings.otlp_endpoint, settings.trace_ratio) == ("", 1)


def test_namespaces_are_a_list() -> None:
    assert Settings.from_env({**ENOUGH, "WATCH_NAMESPACES": "a, b,"}).watch_namespaces == ("a", "b")


@pytest.mark.parametrize("missing", sorted(ENOUGH))
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"^{missing} is not set$"):
        Settings.from_env({**ENOUGH, missing: " "})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LIVEKIT_URL", "livekit:7880", "LIVEKIT_URL must begin with http"),
        ("HTTP_PORT", "eighty", "HTTP_PORT must be a number, not 'eighty'"),
        ("POLL_SECONDS", "0", "POLL_SECONDS must be between 1 and 300, not 0"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of DEBUG, INFO"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "OTEL_EXPORTER_OTLP_ENDPOINT must begin with http"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", "OTEL_TRACES_SAMPLER_ARG must be between 0 and 1, not 1.5"),
        ("AGENT_IMAGE_PULL_POLICY", "Often", "AGENT_IMAGE_PULL_POLICY must be one of"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_env({**ENOUGH, name: value})


def test_repr_keeps_secrets() -> None:
    assert "nobody may see" not in repr(Settings.from_env(ENOUGH))
