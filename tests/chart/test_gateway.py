"""The chart's gateway: settings, secrets, network access, and rejection of unsafe values."""

from typing import Any

import pytest
from voicesession_common.bounds import Rate
from voicesession_gateway.admission import Quota
from voicesession_gateway.settings import GatewaySettings, OidcSettings

from hack.cluster.constants import ROOT
from tests.support.chart.rendering import (
    EXTERNAL_LIVEKIT,
    FULLNAME,
    NAMESPACE,
    NAMESPACED,
    OPEN_GATEWAY,
    PUBLIC_GATEWAY,
    ChartError,
    Object,
    environment,
    named,
    one,
    render,
    template,
    workload,
)

GIVEN = "given"
NAME = f"{FULLNAME}-gateway"
INSIDE = (NAME, f"{NAME}.{NAMESPACE}", f"{NAME}.{NAMESPACE}.svc", f"{NAME}.{NAMESPACE}.svc.cluster.local")
VALUES = ROOT / "hack" / "kind-values.yaml"


def settings(values: Object) -> GatewaySettings:
    env = variables(values)
    return GatewaySettings.from_env({name: v if isinstance(v, str) else GIVEN for name, v in env.items()})


def variables(values: Object) -> dict[str, Any]:
    (container,) = workload(render(values), "gateway")["spec"]["containers"]
    return environment(container)


def test_gateway_environment_gives_every_setting() -> None:
    livekit = {"livekit_public_url": f"ws://{FULLNAME}-livekit.{NAMESPACE}.svc:7880"}
    given = {"livekit_api_key": GIVEN, "livekit_api_secret": GIVEN, "namespace": NAMESPACE} | livekit
    rates = {"caller_rate": Rate(10, 50), "user_rate": Rate(1, 10), "quota": Quota(50, 3)}
    assert settings({}) == GatewaySettings(**given, **rates, keys_dir="/etc/voicesession/keys")
    assert settings(OPEN_GATEWAY) == GatewaySettings(
        **given, **rates, auth="none", default_agent="agent-66", hosts=INSIDE
    )
    oidc = OidcSettings(issuer="https://login.example.com", audience="voice")
    origins = ("https://www.example.com",)
    assert settings(PUBLIC_GATEWAY) == GatewaySettings(**given, **rates, auth="oidc", oidc=oidc, cors_origins=origins)


def test_gateway_without_authentication_lists_allowed_hosts() -> None:
    ingress = {"gateway.ingress.enabled": True, "gateway.ingress.host": "voice.example.com"}
    found = settings(OPEN_GATEWAY | ingress | {"gateway.hosts": ["Demo.example.com"]})
    assert found.hosts == (*INSIDE, "voice.example.com", "demo.example.com")
    assert settings(OPEN_GATEWAY | {"gateway.hosts": None}).hosts == INSIDE, "an upgrade that reuses older values"


def test_limit_values_reach_settings() -> None:
    paths = {
        "caller.requestsPerSecond": 0.5,
        "caller.burst": 5,
        "caller.sessions": 6,
        "caller.streams": 7,
        "user.requestsPerSecond": 0.25,
        "user.burst": 8,
        "user.sessions": 0,
    }
    values = {f"gateway.limits.{path}": value for path, value in paths.items()}
    found = settings(values | {"gateway.readySeconds": 30, "gateway.tokenSeconds": 60})
    assert (found.caller_rate, found.user_rate, found.quota) == (Rate(0.5, 5), Rate(0.25, 8), Quota(6, 0))
    assert (found.streams_per_caller, found.ready_seconds, found.token_seconds) == (7, 30, 60)


def test_gateway_environment_references_livekit_secret() -> None:
    secrets = {name: source["secretKeyRef"] for name, source in variables({}).items() if isinstance(source, dict)}
    livekit = f"{FULLNAME}-livekit"
    assert secrets == {key: {"name": livekit, "key": key} for key in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")}
    external = variables(EXTERNAL_LIVEKIT)
    assert external["LIVEKIT_API_SECRET"]["secretKeyRef"]["name"] == "their-livekit"
    assert external["LIVEKIT_PUBLIC_URL"] == "wss://livekit.example.com"


@pytest.mark.parametrize(
    ("values", "secret"),
    [({}, NAME), ({"gateway.auth.keys.existingSecret": "my-keys"}, "my-keys"), (OPEN_GATEWAY, None)],
)
def test_caller_keys_are_a_mounted_secret(values: Object, secret: str | None) -> None:
    objects = render(values)
    pod = workload(objects, "gateway")["spec"]
    mounted = [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v]
    assert mounted == ([secret] if secret else [])
    assert (("Secret", NAME) in named(objects)) == (secret == NAME)
    paths = [m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] == "keys"]
    assert paths == (["/etc/voicesession/keys"] if secret else [])


def test_generated_caller_key_is_long() -> None:
    assert len(one(render(), "Secret", NAME)["data"]["default"]) * 3 // 4 >= 32


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"gateway.auth.mode": "none"}, "set gateway.auth.allowAnonymous: true"),
        ({"gateway.auth.mode": "open"}, "gateway/auth/mode"),
        ({"gateway.auth.mode": "oidc"}, "gateway/auth/oidc/issuer"),
        ({"gateway.auth.mode": "oidc", "gateway.auth.oidc.issuer": "https://x"}, "gateway/auth/oidc/audience"),
        ({"gateway.corsOrigins": ["*"]}, "gateway/corsOrigins"),
        ({"gateway.corsOrigins": ["https://x.example/"]}, "gateway/corsOrigins"),
        ({"gateway.hosts": ["http://x.example"]}, "gateway/hosts"),
        ({"gateway.hosts": ["x.example:9000"]}, "gateway/hosts"),
        ({"gateway.ingress.enabled": True}, "gateway/ingress/host"),
        ({"gateway.limits.user.burst": 0}, "gateway/limits/user/burst"),
        ({"gateway.limits.users": {}}, "additional properties 'users' not allowed"),
        ({**NAMESPACED, "gateway.namespace": "east"}, "east is none of operator.watchNamespaces"),
    ],
)
def test_invalid_gateway_value_is_rejected_with_path(values: Object, complaint: str) -> None:
    with pytest.raises(ChartError, match=complaint):
        template(values)


def test_gateway_has_single_public_port() -> None:
    (port,) = one(render(), "Service", NAME)["spec"]["ports"]
    assert port == {"name": "http", "port": 9000, "targetPort": "http"}
    assert ("Ingress", NAME) not in named(render())
    objects = render(PUBLIC_GATEWAY)
    spec = one(objects, "Ingress", NAME)["spec"]
    assert spec["tls"] == [{"hosts": ["voice.example.com"], "secretName": "voice-example-com-tls"}]
    (path,) = spec["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": NAME, "port": {"name": "http"}}
    (public,) = one(objects, "NetworkPolicy", NAME)["spec"]["ingress"]
    assert public["from"] == PUBLIC_GATEWAY["gateway.allowFrom"]


def test_kind_values_use_mapped_node_port() -> None:
    text = template({}, f"--values={VALUES}")
    config = (ROOT / "kind-config.yaml").read_text()
    assert "nodePort: 30900" in text
    assert "{containerPort: 30900, hostPort: 9000, listenAddress: 127.0.0.1, protocol: TCP}" in config


def test_gateway_replicas_spread_with_disruption_budget() -> None:
    objects = render()
    assert one(objects, "Deployment", NAME)["spec"]["replicas"] == 2
    assert one(objects, "PodDisruptionBudget", NAME)["spec"]["maxUnavailable"] == 1
    pod = workload(objects, "gateway")
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_disabled_gateway_renders_no_objects() -> None:
    assert not [name for _, name in named(render({"gateway.enabled": False})) if "gateway" in name]
