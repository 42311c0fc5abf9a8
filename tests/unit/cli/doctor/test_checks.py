"""`kubectl voice doctor` from the first check to the last, on an installation of plain objects."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from voicesession_cli.arguments import Doctor
from voicesession_cli.doctor import checks as checkup
from voicesession_cli.doctor import probes as asking
from voicesession_cli.doctor import probes as tunnel
from voicesession_cli.doctor.checks import CRDS, doctor
from voicesession_cli.doctor.verdicts import DEFINITIONS
from voicesession_cli.errors import CommandError, ForbiddenError
from voicesession_cli.kube_client import CONFIG_MAPS, DEPLOYMENTS, LEASES, PODS, SECRETS, STATEFUL_SETS, path
from voicesession_cli.output import now, rfc3339

from tests.support.fakes.cli_api import Json, StandIn, pod
from tests.unit.cli.doctor.test_livekit_config import config

HOME = "home"
GATEWAY = path(DEPLOYMENTS, HOME, "v-gateway")
LIVEKIT = path(DEPLOYMENTS, HOME, "v-livekit")
POSTGRES = path(STATEFUL_SETS, HOME, "v-postgres")
OPERATORS = path(DEPLOYMENTS)


def workload(name: str, env: dict[str, Any], replicas: int = 1, ready: int = 1, program: str = "") -> Json:
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


def secret(key: str) -> Json:
    return {"valueFrom": {"secretKeyRef": {"name": "v-livekit", "key": key}}}


def operator(namespace: str = HOME) -> Json:
    env = {
        "RELEASE": "v",
        "WATCH_NAMESPACES": "",
        "LIVEKIT_URL": "ws://v-livekit.home.svc:7880",
        "LIVEKIT_API_KEY": secret("LIVEKIT_API_KEY"),
        "LIVEKIT_API_SECRET": secret("LIVEKIT_API_SECRET"),
        "LETTA_URL": "http://v-letta.home.svc:8283",
        "LETTA_API_KEY": "password",
    }
    made = workload("v-operator", env, program="voicesession_operator")
    made["metadata"]["namespace"] = namespace
    return made


class Installation(StandIn):
    """Healthy; `queried` are the commands that were run in pods."""

    def __init__(self) -> None:
        definition = {
            "spec": {"versions": [{"name": "v1alpha1", "served": True}]},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        }
        keys = {name: base64.b64encode(name.encode()).decode() for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")}
        lease = {"metadata": {"name": "l", "namespace": HOME}, "spec": {"holderIdentity": "v-operator-0"}}
        lease["spec"]["renewTime"] = rfc3339(now())
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
        self.queried: list[tuple[str, ...]] = []
        self.query_error: CommandError | None = None

    def query(self, _: str | None, namespace: str, name: str, *command: str) -> None:
        self.queried.append((namespace, name, *command))
        if self.query_error is not None:
            raise self.query_error


@contextmanager
def forwarded(*_: Any) -> Iterator[int]:
    yield 1


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = Installation()
    monkeypatch.setattr(checkup, "Api", lambda _: made)
    monkeypatch.setattr(tunnel, "forwarded", forwarded)
    monkeypatch.setattr(tunnel, "run", made.query)
    monkeypatch.setattr(asking, "list_rooms", lambda *_: 200)
    monkeypatch.setattr(asking, "deliver", lambda *_: (200, ""))
    monkeypatch.setattr(asking, "list_agents", lambda *_: 200)
    return made


@pytest.fixture
def ask(place: Installation, capsys: pytest.CaptureFixture[str]) -> Any:
    """What the doctor says by check, after its exit code was seen to fit."""

    def asked() -> dict[str, Json]:
        code = doctor(Doctor(context=None, json_output=True, operator_namespace=None))
        verdicts = json.loads(capsys.readouterr().out)
        assert code == int(any(verdict["state"] == "FAILED" for verdict in verdicts))
        assert all(bool(verdict["mend"]) == (verdict["state"] == "FAILED") for verdict in verdicts)
        return {verdict["check"]: verdict for verdict in verdicts}

    return asked


def states(verdicts: dict[str, Json], state: str) -> set[str]:
    return {check for check, verdict in verdicts.items() if verdict["state"] == state}


def test_all_is_well(ask: Any, place: Installation) -> None:
    found = ask()
    assert {verdict["state"] for verdict in found.values()} == {"OK"}
    assert {"gateway", "gateway RBAC", "Postgres", "LiveKit participant lists", "LiveKit webhook events"} <= set(found)


def test_without_an_operator_the_definitions_are_told_yet(ask: Any, place: Installation) -> None:
    place.objects[OPERATORS] = {"items": []}
    found = ask()
    assert states(found, "OK") == {f"definition {name}" for name in DEFINITIONS}
    assert states(found, "FAILED") == {"operator"}
    assert found["operator"]["message"] == "need one operator, found 0 (nowhere)"


def test_with_two_operators_it_says_where_they_are(ask: Any, place: Installation) -> None:
    place.objects[OPERATORS] = {"items": [operator(), operator("away")]}
    found = ask()
    assert states(found, "FAILED") == {"operator"}
    assert "found 2 (home, away)" in found["operator"]["message"]
    assert "--operator-namespace" in found["operator"]["mend"]


@pytest.mark.parametrize(
    ("closed", "check"),
    [(OPERATORS, "operator"), (path(CRDS, "", DEFINITIONS[0]), f"definition {DEFINITIONS[0]}"), (GATEWAY, "gateway")],
)
def test_what_one_may_not_read_is_no_fault_of_the_installation(
    ask: Any, place: Installation, closed: str, check: str
) -> None:
    place.objects[closed] = ForbiddenError("not allowed to read it")
    found = ask()
    assert states(found, "FAILED") == {check}
    assert found[check]["mend"] == "run the doctor as somebody who may"


def test_an_api_server_that_is_away_is_told_once(ask: Any, place: Installation) -> None:
    place.objects[path(CRDS, "", DEFINITIONS[0])] = CommandError("cannot reach the Kubernetes API server")
    with pytest.raises(CommandError, match="cannot reach"):
        ask()


def test_a_release_without_a_gateway_has_none_to_check(ask: Any, place: Installation) -> None:
    del place.objects[GATEWAY]
    found = ask()
    assert states(found, "SKIPPED") == {"gateway"}
    assert "gateway RBAC" not in found


def test_a_gateway_that_does_not_run_is_named(ask: Any, place: Installation) -> None:
    place.objects[GATEWAY] = workload("v-gateway", {"NAMESPACE": "calls"}, replicas=2)
    assert ask()["gateway"]["message"] == "1 of 2 pods are ready"


def test_a_gateway_whose_role_is_lost_is_named(ask: Any, place: Installation) -> None:
    place.refused = {("v-gateway", "calls", "create", "voicesessions"), ("v-gateway", "calls", "watch", "voiceagents")}
    found = ask()
    assert states(found, "FAILED") == {"gateway RBAC"}
    assert found["gateway RBAC"]["message"] == "the gateway may not create voicesessions, watch voiceagents"


def test_an_operator_whose_role_is_lost_is_named(ask: Any, place: Installation) -> None:
    place.refused = {("v-operator", "", "create", "pods"), ("v-operator", "home", "update", "leases")}
    found = ask()
    assert found["RBAC"]["message"] == "the operator may not create pods, update leases"
    assert states(found, "FAILED") == {"RBAC"}


def test_postgres_is_asked_a_query(ask: Any, place: Installation) -> None:
    assert ask()["Postgres"]["message"] == "answers a query"
    assert place.queried == [(HOME, "v-postgres-0", "psql", "-U", "letta", "-d", "letta", "-c", "SELECT 1")]


def test_a_postgres_that_refuses_the_query_fails(ask: Any, place: Installation) -> None:
    place.query_error = CommandError("FATAL: the database system is starting up")
    found = ask()
    assert states(found, "FAILED") == {"Postgres"}
    assert found["Postgres"]["message"] == "FATAL: the database system is starting up"


@pytest.mark.parametrize(("replicas", "ready", "words"), [(0, 0, "is scaled to 0"), (1, 0, "0 of 1 pods are ready")])
def test_a_postgres_that_does_not_run_is_not_asked(
    ask: Any, place: Installation, replicas: int, ready: int, words: str
) -> None:
    place.objects[POSTGRES] = workload("v-postgres", {}, replicas, ready)
    verdict = ask()["Postgres"]
    assert (verdict["state"], verdict["message"], place.queried) == ("FAILED", words, [])


def test_a_postgres_of_ones_own_is_nothing_to_check(ask: Any, place: Installation) -> None:
    del place.objects[POSTGRES]
    assert (states(ask(), "SKIPPED"), place.queried) == ({"Postgres"}, [])


def test_for_people_each_check_is_a_line_with_its_mend(place: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    place.objects[OPERATORS] = {"items": []}
    assert doctor(Doctor(context=None, json_output=False, operator_namespace=None)) == 1
    (*_, last) = capsys.readouterr().out.splitlines()
    assert last.split()[:2] == ["FAILED", "operator"]
    assert "; mend: install the chart" in last
