"""All checks of the doctor, on an installation of plain objects."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from voicesession_cli.arguments import DoctorArguments
from voicesession_cli.doctor import checks, probes
from voicesession_cli.doctor.checks import CRDS, doctor
from voicesession_cli.doctor.results import DEFINITIONS
from voicesession_cli.errors import CommandError, ForbiddenError
from voicesession_cli.kube_client import CONFIG_MAPS, DEPLOYMENTS, LEASES, PODS, SECRETS, STATEFUL_SETS, path
from voicesession_cli.output import now
from voicesession_common import JsonObject
from voicesession_common.api.timestamps import to_rfc3339

from tests.support.fakes.cli_api import FakeKubeApi, pod
from tests.unit.cli.doctor.test_livekit_config import config

HOME = "home"
GATEWAY = path(DEPLOYMENTS, HOME, "v-gateway")
LIVEKIT = path(DEPLOYMENTS, HOME, "v-livekit")
POSTGRES = path(STATEFUL_SETS, HOME, "v-postgres")
OPERATORS = path(DEPLOYMENTS)


def workload(name: str, env: dict[str, Any], replicas: int = 1, ready: int = 1, program: str = "") -> JsonObject:
    variables = [
        {"name": key, **(value if isinstance(value, dict) else {"value": value})} for key, value in env.items()
    ]
    template = {
        "serviceAccountName": name,
        "containers": [{"name": name, "command": ["python", "-m", program], "env": variables}],
    }
    return {
        "metadata": {"namespace": HOME, "name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"component": name}},
            "template": {"spec": template},
        },
        "status": {"readyReplicas": ready},
    }


def secret(key: str) -> JsonObject:
    return {"valueFrom": {"secretKeyRef": {"name": "v-livekit", "key": key}}}


def operator(namespace: str = HOME) -> JsonObject:
    env = {
        "RELEASE": "v",
        "WATCH_NAMESPACES": "",
        "LIVEKIT_URL": "ws://v-livekit.home.svc:7880",
        "LIVEKIT_API_KEY": secret("LIVEKIT_API_KEY"),
        "LIVEKIT_API_SECRET": secret("LIVEKIT_API_SECRET"),
        "LETTA_URL": "http://v-letta.home.svc:8283",
        "LETTA_API_KEY": "password",
    }
    deployment = workload("v-operator", env, program="voicesession_operator")
    deployment["metadata"]["namespace"] = namespace
    return deployment


class FakeInstallation(FakeKubeApi):
    """A healthy release; `executed` lists the commands executed in pods."""

    def __init__(self) -> None:
        definition = {
            "spec": {"versions": [{"name": "v1alpha1", "served": True}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        }
        keys = {name: base64.b64encode(name.encode()).decode() for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")}
        lease = {"metadata": {"name": "l", "namespace": HOME}, "spec": {"holderIdentity": "v-operator-0"}}
        lease["spec"]["renewTime"] = to_rfc3339(now())
        super().__init__(
            {
                **{path(CRDS, "", name): definition for name in DEFINITIONS},
                OPERATORS: {"items": [operator()]},
                path(PODS, HOME): {"items": [pod("v-operator-0", HOME)]},
                path(LEASES, HOME, "v-voicesession-operator"): lease,
                path(SECRETS, HOME, "v-livekit"): {"data": keys},
                LIVEKIT: workload("v-livekit", {"API_KEY": secret("LIVEKIT_API_KEY")}),
                path(CONFIG_MAPS, HOME, "v-livekit"): {
                    "metadata": {"namespace": HOME, "name": "v-livekit"},
                    "data": {"config.yaml": config(urls=["http://v-operator-webhook.home.svc:8080/livekit/webhook"])},
                },
                GATEWAY: workload("v-gateway", {"NAMESPACE": "calls"}),
                POSTGRES: workload("v-postgres", {}),
            }
        )
        self.executed: list[tuple[str, ...]] = []
        self.execute_error: CommandError | None = None

    def execute(self, _: str | None, namespace: str, name: str, *command: str) -> None:
        self.executed.append((namespace, name, *command))
        if self.execute_error is not None:
            raise self.execute_error


@contextmanager
def port_forward(*_: Any) -> Iterator[int]:
    yield 1


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> FakeInstallation:
    fake = FakeInstallation()
    monkeypatch.setattr(checks, "KubeApi", lambda _: fake)
    monkeypatch.setattr(probes, "port_forward", port_forward)
    monkeypatch.setattr(probes, "execute", fake.execute)
    monkeypatch.setattr(probes, "list_rooms_status", lambda *_: 200)
    monkeypatch.setattr(probes, "deliver_webhook", lambda *_: (200, ""))
    monkeypatch.setattr(probes, "list_agents_status", lambda *_: 200)
    return fake


@pytest.fixture
def diagnose(installation: FakeInstallation, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the doctor, check its exit code and return the results by check."""

    def run() -> dict[str, JsonObject]:
        code = doctor(DoctorArguments(context=None, json_output=True, operator_namespace=None))
        results = json.loads(capsys.readouterr().out)
        assert code == int(any(result["state"] == "FAILED" for result in results))
        assert all(bool(result["fix"]) == (result["state"] == "FAILED") for result in results)
        return {result["check"]: result for result in results}

    return run


def states(results: dict[str, JsonObject], state: str) -> set[str]:
    return {check for check, result in results.items() if result["state"] == state}


def test_healthy_installation_passes_every_check(diagnose: Any, installation: FakeInstallation) -> None:
    found = diagnose()
    assert {result["state"] for result in found.values()} == {"OK"}
    assert {"gateway", "gateway RBAC", "Postgres", "LiveKit participant lists", "LiveKit webhook events"} <= set(found)


def test_missing_operator_fails_after_definitions(diagnose: Any, installation: FakeInstallation) -> None:
    installation.objects[OPERATORS] = {"items": []}
    found = diagnose()
    assert states(found, "OK") == {f"definition {name}" for name in DEFINITIONS}
    assert states(found, "FAILED") == {"operator"}
    assert found["operator"]["message"] == "need one operator, found 0 (in no namespace)"


def test_two_operators_are_named_with_namespaces(diagnose: Any, installation: FakeInstallation) -> None:
    installation.objects[OPERATORS] = {"items": [operator(), operator("away")]}
    found = diagnose()
    assert states(found, "FAILED") == {"operator"}
    assert "found 2 (home, away)" in found["operator"]["message"]
    assert "--operator-namespace" in found["operator"]["fix"]


@pytest.mark.parametrize(
    ("closed", "check"),
    [(OPERATORS, "operator"), (path(CRDS, "", DEFINITIONS[0]), f"definition {DEFINITIONS[0]}"), (GATEWAY, "gateway")],
)
def test_missing_permission_asks_for_other_user(
    diagnose: Any, installation: FakeInstallation, closed: str, check: str
) -> None:
    installation.objects[closed] = ForbiddenError("not allowed to read it")
    found = diagnose()
    assert states(found, "FAILED") == {check}
    assert found[check]["fix"] == "run the doctor with a user that has the permission"


def test_unreachable_api_server_ends_the_command(diagnose: Any, installation: FakeInstallation) -> None:
    installation.objects[path(CRDS, "", DEFINITIONS[0])] = CommandError("cannot reach the Kubernetes API server")
    with pytest.raises(CommandError, match="cannot reach"):
        diagnose()


def test_release_without_gateway_skips_check(diagnose: Any, installation: FakeInstallation) -> None:
    del installation.objects[GATEWAY]
    found = diagnose()
    assert states(found, "SKIPPED") == {"gateway"}
    assert "gateway RBAC" not in found


def test_gateway_with_unready_pods_fails(diagnose: Any, installation: FakeInstallation) -> None:
    installation.objects[GATEWAY] = workload("v-gateway", {"NAMESPACE": "calls"}, replicas=2)
    assert diagnose()["gateway"]["message"] == "1 of 2 pods are ready"


def test_gateway_without_permissions_fails(diagnose: Any, installation: FakeInstallation) -> None:
    installation.denied = {
        ("v-gateway", "calls", "create", "voicesessions"),
        ("v-gateway", "calls", "watch", "voiceagents"),
    }
    found = diagnose()
    assert states(found, "FAILED") == {"gateway RBAC"}
    assert found["gateway RBAC"]["message"] == "the gateway may not create voicesessions, watch voiceagents"


def test_operator_without_permissions_fails(diagnose: Any, installation: FakeInstallation) -> None:
    installation.denied = {("v-operator", "", "create", "pods"), ("v-operator", "home", "update", "leases")}
    found = diagnose()
    assert found["RBAC"]["message"] == "the operator may not create pods, update leases"
    assert states(found, "FAILED") == {"RBAC"}


def test_postgres_answers_query(diagnose: Any, installation: FakeInstallation) -> None:
    assert diagnose()["Postgres"]["message"] == "answers a query"
    assert installation.executed == [(HOME, "v-postgres-0", "psql", "-U", "letta", "-d", "letta", "-c", "SELECT 1")]


def test_postgres_query_error_fails(diagnose: Any, installation: FakeInstallation) -> None:
    installation.execute_error = CommandError("FATAL: the database system is starting up")
    found = diagnose()
    assert states(found, "FAILED") == {"Postgres"}
    assert found["Postgres"]["message"] == "FATAL: the database system is starting up"


@pytest.mark.parametrize(("replicas", "ready", "words"), [(0, 0, "is scaled to 0"), (1, 0, "0 of 1 pods are ready")])
def test_postgres_without_ready_pods_gets_no_query(
    diagnose: Any, installation: FakeInstallation, replicas: int, ready: int, words: str
) -> None:
    installation.objects[POSTGRES] = workload("v-postgres", {}, replicas, ready)
    result = diagnose()["Postgres"]
    assert (result["state"], result["message"], installation.executed) == ("FAILED", words, [])


def test_external_postgres_is_skipped(diagnose: Any, installation: FakeInstallation) -> None:
    del installation.objects[POSTGRES]
    assert (states(diagnose(), "SKIPPED"), installation.executed) == ({"Postgres"}, [])


def test_text_output_has_line_per_check_with_fix(
    installation: FakeInstallation, capsys: pytest.CaptureFixture[str]
) -> None:
    installation.objects[OPERATORS] = {"items": []}
    assert doctor(DoctorArguments(context=None, json_output=False, operator_namespace=None)) == 1
    (*_, last) = capsys.readouterr().out.splitlines()
    assert last.split()[:2] == ["FAILED", "operator"]
    assert "; fix: install the chart" in last
