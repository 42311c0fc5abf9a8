"""Deployed components for each set of values, and the connections between them."""

import re
from typing import Any

import pytest
import yaml
from voicesession_operator.settings import OperatorSettings

from tests.support.chart.rendering import (
    EVERYTHING,
    EXTERNAL_LETTA,
    EXTERNAL_LIVEKIT,
    EXTERNAL_POSTGRES,
    FULLNAME,
    NAMESPACE,
    NAMESPACED,
    environment,
    named,
    one,
    render,
    template,
    workload,
)

LETTA = ("Deployment", f"{FULLNAME}-letta")
LIVEKIT = ("Deployment", f"{FULLNAME}-livekit")
POSTGRES = ("StatefulSet", f"{FULLNAME}-postgres")
SCRIPTED = ("Deployment", f"{FULLNAME}-scripted-llm")
OPERATOR = ("Deployment", f"{FULLNAME}-operator")
GATEWAY = ("Deployment", f"{FULLNAME}-gateway")
GIVEN = "given"
"""Stands for any value that a reference resolves to."""
WORKLOADS = {LETTA, LIVEKIT, POSTGRES, SCRIPTED, OPERATOR, GATEWAY}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {OPERATOR, GATEWAY, LIVEKIT, LETTA, POSTGRES}),
        (EVERYTHING, WORKLOADS),
        (EXTERNAL_LIVEKIT, {OPERATOR, GATEWAY, LETTA, POSTGRES}),
        (EXTERNAL_LETTA, {OPERATOR, GATEWAY, LIVEKIT}),
        (EXTERNAL_POSTGRES, {OPERATOR, GATEWAY, LIVEKIT, LETTA}),
        (EXTERNAL_LIVEKIT | EXTERNAL_LETTA, {OPERATOR, GATEWAY}),
        ({"letta.enabled": False}, {OPERATOR, GATEWAY, LIVEKIT}),
        ({"letta.enabled": False, "gateway.enabled": False}, {OPERATOR, LIVEKIT}),
    ],
)
def test_component_is_deployed_unless_external(values: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    objects = render(values)
    assert named(objects) & WORKLOADS == expected
    secrets = {name for kind, name in named(objects) if kind == "Secret"}
    assert secrets == {name for _, name in expected - {SCRIPTED}}


def test_scripted_llm_is_off_by_default() -> None:
    assert "scripted" not in template({})
    for kind in ("Deployment", "Service"):
        labels = one(render(EVERYTHING), kind, f"{FULLNAME}-scripted-llm")["metadata"]["labels"]
        assert labels["voicesession.dev/scripted"] == "true"


def test_operator_environment_gives_every_setting() -> None:
    letta = {"letta.embedding": "openai/text-embedding-3-small", "letta.allowUntaggedAgents": True}
    env = _operator_environment({**EVERYTHING, **letta, **NAMESPACED})
    settings = OperatorSettings.from_env({name: v if isinstance(v, str) else GIVEN for name, v in env.items()})
    assert settings == OperatorSettings(
        pod_name=GIVEN,
        pod_uid=GIVEN,
        pod_namespace=GIVEN,
        release="rel",
        installation_id=GIVEN,
        livekit_url=f"ws://{FULLNAME}-livekit.{NAMESPACE}.svc:7880",
        livekit_public_url=f"ws://{FULLNAME}-livekit.{NAMESPACE}.svc:7880",
        livekit_api_key=GIVEN,
        livekit_api_secret=GIVEN,
        control_private_key=GIVEN,
        agent_image="voicesession/agent:0.1.0",
        letta_url=f"http://{FULLNAME}-letta.{NAMESPACE}.svc:8283",
        letta_api_key=GIVEN,
        letta_model="openai-proxy/scripted-1",
        letta_embedding="openai/text-embedding-3-small",
        letta_allow_untagged=True,
        watch_namespaces=("north", "south"),
    )


def test_operator_secrets_are_references() -> None:
    env = _operator_environment({})
    own, livekit, letta = f"{FULLNAME}-operator", f"{FULLNAME}-livekit", f"{FULLNAME}-letta"
    assert {name: source["secretKeyRef"] for name, source in env.items() if "secretKeyRef" in source} == {
        "INSTALLATION_ID": {"name": own, "key": "INSTALLATION_ID"},
        "CONTROL_PRIVATE_KEY": {"name": own, "key": "CONTROL_PRIVATE_KEY"},
        "LIVEKIT_API_KEY": {"name": livekit, "key": "LIVEKIT_API_KEY"},
        "LIVEKIT_API_SECRET": {"name": livekit, "key": "LIVEKIT_API_SECRET"},
        "LETTA_API_KEY": {"name": letta, "key": "password"},
    }


def test_operator_environment_names_external_servers() -> None:
    env = _operator_environment({**EXTERNAL_LIVEKIT, **EXTERNAL_LETTA})
    assert env["LIVEKIT_URL"] == env["LIVEKIT_PUBLIC_URL"] == "wss://livekit.example.com"
    assert env["LIVEKIT_API_SECRET"]["secretKeyRef"] == {"name": "their-livekit", "key": "LIVEKIT_API_SECRET"}
    assert env["LETTA_URL"] == "https://letta.example.com"
    assert env["LETTA_API_KEY"]["secretKeyRef"] == {"name": "their-letta", "key": "password"}


@pytest.mark.parametrize("values", [{"letta.enabled": False}, {**EXTERNAL_LETTA, "letta.external.existingSecret": ""}])
def test_operator_without_letta_password_has_no_api_key(values: dict[str, Any]) -> None:
    env = _operator_environment(values)
    assert "LETTA_API_KEY" not in env
    assert env["LETTA_URL"] == ("" if "letta.enabled" in values else "https://letta.example.com")


def test_livekit_config_meets_operator_requirements() -> None:
    config = _livekit_config({})
    assert config["room"] == {"auto_create": False}
    assert config["api"] == {"enable_psrpc_for_get_list_participants": True}
    assert config["rtc"] == {"use_external_ip": False, "tcp_port": 7881, "udp_port": 7882}
    assert config["webhook"]["urls"] == [f"http://{FULLNAME}-operator-webhook.{NAMESPACE}.svc:8080/livekit/webhook"]
    assert not any("track" in event for event in config["webhook"]["filter_params"]["include_events"])
    assert "keys" not in config
    selector = one(render(), "Service", f"{FULLNAME}-operator-webhook")["spec"]["selector"]
    assert selector["voicesession.dev/leader"] == "true"


def test_livekit_on_node_ports_listens_on_advertised_ports() -> None:
    values = {"livekit.service.type": "NodePort", "livekit.nodePorts.udp": 31000}
    config, objects = _livekit_config(values), render(values)
    ports = {p["name"]: p for p in one(objects, "Service", f"{FULLNAME}-livekit")["spec"]["ports"]}
    (container,) = workload(objects, "livekit")["spec"]["containers"]
    listening = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert config["rtc"]["udp_port"] == ports["rtc-udp"]["nodePort"] == listening["rtc-udp"] == 31000
    assert config["rtc"]["tcp_port"] == ports["rtc-tcp"]["nodePort"] == listening["rtc-tcp"] == 30781
    assert (ports["signal"]["port"], ports["signal"]["nodePort"]) == (7880, 30780)
    assert ports.keys() == {"signal", "rtc-tcp", "rtc-udp"}
    assert "--node-ip=$(HOST_IP)" in container["args"]
    assert environment(container)["HOST_IP"] == {"fieldRef": {"fieldPath": "status.hostIP"}}


def test_livekit_on_cluster_ip_sets_no_node_ip() -> None:
    (container,) = workload(render(), "livekit")["spec"]["containers"]
    assert container["args"] == ["--config=/etc/livekit/config.yaml"]


@pytest.mark.parametrize(
    ("values", "uri"),
    [
        ({}, "$(DATABASE)?sslmode=disable"),
        (EXTERNAL_POSTGRES, "$(DATABASE)"),
        ({**EXTERNAL_POSTGRES, "postgres.external.tls": False}, "$(DATABASE)?sslmode=disable"),
    ],
)
def test_letta_migrates_first_and_matches_database_tls(values: dict[str, Any], uri: str) -> None:
    pod = workload(render(values), "letta")["spec"]
    (migrate,), (letta,) = pod["initContainers"], pod["containers"]
    secret = values.get("postgres.external.existingSecret", f"{FULLNAME}-postgres")
    assert environment(migrate)["LETTA_PG_URI"] == {"secretKeyRef": {"name": secret, "key": "uri"}}
    assert environment(letta)["DATABASE"] == {"secretKeyRef": {"name": secret, "key": "uri"}}
    assert environment(letta)["LETTA_PG_URI"] == uri
    assert environment(letta)["LETTA_SERVER_SECURE"] == "true"


@pytest.mark.parametrize(
    ("values", "model", "base_url"),
    [
        ({}, "openai/gpt-4.1-mini", None),
        (EVERYTHING, "openai-proxy/scripted-1", f"http://{FULLNAME}-scripted-llm.{NAMESPACE}.svc:8000/v1"),
        ({"letta.openai.baseURL": "http://llm/v1", "letta.model": "openai-proxy/m"}, "openai-proxy/m", "http://llm/v1"),
    ],
)
def test_letta_and_operator_use_the_same_model(values: dict[str, Any], model: str, base_url: str | None) -> None:
    assert _operator_environment(values)["LETTA_MODEL"] == model
    (letta,) = workload(render(values), "letta")["spec"]["containers"]
    assert environment(letta).get("OPENAI_BASE_URL") == base_url


@pytest.mark.parametrize("part", ["livekit", "letta", "postgres"])
def test_unrelated_upgrade_keeps_component_pods(part: str) -> None:
    other = {
        "operator.pollSeconds": 20,
        "operator.image.tag": "9.9.9",
        "agent.image.tag": "9.9.9",
        "livekit.publicURL": "wss://x",
    }
    assert workload(render(), part) == workload(render(other), part)


def test_livekit_config_change_restarts_livekit() -> None:
    assert workload(render(), "livekit") != workload(render({"livekit.logLevel": "debug"}), "livekit")


@pytest.mark.parametrize("part", ["operator", "gateway", "livekit", "letta", "postgres", "demo.scriptedLLM"])
def test_pod_annotations_reach_the_pod(part: str) -> None:
    objects = render({**EVERYTHING, f"{part}.podAnnotations": {"example.com/build": "7"}})
    pod = workload(objects, "scripted-llm" if part.startswith("demo") else part)
    assert pod["metadata"]["annotations"]["example.com/build"] == "7"


def test_secrets_of_the_volume_survive_uninstall() -> None:
    kept = [
        o["metadata"]["name"]
        for o in render()
        if o["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    ]
    assert sorted(kept) == [f"{FULLNAME}-letta", f"{FULLNAME}-postgres"]


def test_uninstall_hook_has_a_deadline() -> None:
    job = one(render(), "Job", f"{FULLNAME}-uninstall")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] <= 60
    assert ("Job", f"{FULLNAME}-uninstall") not in named(render({"uninstall.endSessions": False}))


def test_network_policies_admit_required_clients() -> None:
    policies = {o["metadata"]["name"]: o["spec"] for o in render() if o["kind"] == "NetworkPolicy"}
    assert policies.keys() == {f"{FULLNAME}-{part}" for part in ("agent-pods", "gateway", "letta", "postgres")}
    operator, agents = policies[f"{FULLNAME}-letta"]["ingress"][0]["from"]
    assert operator["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    assert agents["namespaceSelector"] == {}
    assert agents["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "agent-pod"}
    (letta,) = policies[f"{FULLNAME}-postgres"]["ingress"][0]["from"]
    assert letta["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "letta"
    assert not [o for o in render({"networkPolicy.enabled": False}) if o["kind"] == "NetworkPolicy"]


def test_service_selects_pod_listening_on_target_port() -> None:
    objects = render(EVERYTHING)
    pods = [o["spec"]["template"] for o in objects if o["kind"] in ("Deployment", "StatefulSet")]
    for service in (o for o in objects if o["kind"] == "Service"):
        labels = {k: v for k, v in service["spec"]["selector"].items() if k != "voicesession.dev/leader"}
        (pod,) = [p for p in pods if labels.items() <= p["metadata"]["labels"].items()]
        (container,) = pod["spec"]["containers"]
        listening = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= listening


def test_generated_keys_are_long_and_livekit_secret_is_labeled() -> None:
    objects = template({})
    secret = one(render(), "Secret", f"{FULLNAME}-livekit")
    assert secret["metadata"]["labels"]["voicesession.dev/livekit-credentials"] == "true"
    lengths = {key: len(value) * 3 // 4 for key, value in secret["data"].items()}
    assert lengths["LIVEKIT_API_SECRET"] >= 32
    assert re.search(r"CONTROL_PRIVATE_KEY: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0", objects)


def _operator_environment(values: dict[str, Any]) -> dict[str, Any]:
    (container,) = workload(render(values), "operator")["spec"]["containers"]
    return environment(container)


def _livekit_config(values: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(
        one(render(values), "ConfigMap", f"{FULLNAME}-livekit")["data"]["config.yaml"]
    )
    return config
