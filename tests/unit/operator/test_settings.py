"""Settings: defaults, and errors that name the variable."""

import pytest
from voicesession_operator.settings import OperatorSettings, SettingsError

REQUIRED = {
    "POD_NAME": "operator-0",
    "POD_UID": "uid-operator-0",
    "POD_NAMESPACE": "voicesession-system",
    "RELEASE": "voicesession",
    "INSTALLATION_ID": "installation-1",
    "LIVEKIT_URL": "ws://livekit:7880",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "secret-value",
    "CONTROL_PRIVATE_KEY": "secret-key",
    "AGENT_IMAGE": "voicesession/agent:0.1.0",
}


def test_required_variables_suffice() -> None:
    settings = OperatorSettings.from_env(REQUIRED)
    assert settings.livekit_public_url == "ws://livekit:7880"
    assert settings.watch_namespaces == ()
    assert (settings.http_port, settings.poll_seconds, settings.lease_duration_seconds) == (8080, 10, 8)
    assert settings.letta_url == ""
    assert (settings.otlp_endpoint, settings.trace_ratio) == ("", 1)


def test_letta_key_and_address_are_stripped() -> None:
    settings = OperatorSettings.from_env({**REQUIRED, "LETTA_URL": "http://letta\n", "LETTA_API_KEY": "key\n"})
    assert (settings.letta_url, settings.letta_api_key) == ("http://letta", "key")


def test_untagged_letta_agents_are_refused_by_default() -> None:
    assert not OperatorSettings.from_env(REQUIRED).letta_allow_untagged
    assert OperatorSettings.from_env({**REQUIRED, "LETTA_ALLOW_UNTAGGED": "true"}).letta_allow_untagged


def test_namespaces_are_split_at_commas() -> None:
    assert OperatorSettings.from_env({**REQUIRED, "WATCH_NAMESPACES": "a, b,"}).watch_namespaces == ("a", "b")


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"^{missing} is not set$"):
        OperatorSettings.from_env({**REQUIRED, missing: " "})


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
def test_invalid_value_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        OperatorSettings.from_env({**REQUIRED, name: value})


def test_repr_contains_no_secrets() -> None:
    assert "secret" not in repr(OperatorSettings.from_env(REQUIRED))
