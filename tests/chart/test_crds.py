"""The CRDs: descriptions, bounds, and agreement with the fields that the operator reads and writes."""

from collections.abc import Iterator
from typing import Any

import pytest
from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition
from voicesession_common.api.reasons import Action, Cause, EndReason, ResetOutcome
from voicesession_common.api.timestamps import StartSteps
from voicesession_common.api.voiceagent import Forgotten, Inherited, LettaMemorySpec, VoiceAgent
from voicesession_common.api.voicesession import Absence, LastReset, Outage, Status
from voicesession_operator.domain.agent_plan import KEPT_ANSWERS

from tests.support.chart.rendering import Object, crd

PLURALS = (constants.AGENTS, constants.SESSIONS)


def _schema(plural: str) -> Object:
    (version,) = crd(plural)["spec"]["versions"]
    found: Object = version["schema"]["openAPIV3Schema"]
    return found


def _nodes(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Yield every field's schema with its path, at every depth."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _nodes(schema[key], f"{path}[]")


@pytest.mark.parametrize(
    ("plural", "short", "columns"),
    [
        (constants.AGENTS, "va", ["Display", "Letta", "Ready", "Age"]),
        (constants.SESSIONS, "vs", ["Agent", "Phase", "Humans", "Resets", "Room", "Pod", "Age"]),
    ],
)
def test_crd_names_and_columns(plural: str, short: str, columns: list[str]) -> None:
    spec = crd(plural)["spec"]
    (version,) = spec["versions"]
    assert crd(plural)["metadata"]["name"] == f"{plural}.{constants.GROUP}"
    assert (spec["scope"], spec["names"]["shortNames"], spec["names"]["categories"]) == (
        "Namespaced",
        [short],
        ["voice"],
    )
    assert (version["name"], version["subresources"]) == (constants.VERSION, {"status": {}})
    shown = [c["name"] for c in version["additionalPrinterColumns"] if not c.get("priority")]
    assert shown == columns


@pytest.mark.parametrize("plural", PLURALS)
def test_limit_in_seconds_accepts_zero_only_as_no_limit(plural: str) -> None:
    limits = _schema(plural)["properties"]["spec"]["properties"]["limits"]["properties"]
    found = {name: limit["minimum"] for name, limit in limits.items() if name.endswith("Seconds")}
    assert found == {"startSeconds": 1, "joinSeconds": 1, "idleSeconds": 0, "maxDurationSeconds": 1}
    assert "0 (the built-in value) means no limit" in limits["idleSeconds"]["description"]


@pytest.mark.parametrize("plural", PLURALS)
def test_printer_columns_show_schema_fields(plural: str) -> None:
    (version,) = crd(plural)["spec"]["versions"]
    known = {path.replace("[]", "") for path, _ in _nodes(_schema(plural))} | {".metadata.creationTimestamp"}
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[?")[0]
        assert path in known, column["name"]


@pytest.mark.parametrize("plural", PLURALS)
def test_every_field_has_bounds_and_description(plural: str) -> None:
    for path, node in _nodes(_schema(plural)):
        if path == ".metadata":
            continue
        assert node.get("description") or path.endswith("[]"), f"{path} has no description"
        match node.get("type"):
            case "string":
                assert "maxLength" in node, path
            case "integer":
                assert "minimum" in node or path.endswith("tolerationSeconds"), path
            case "array":
                assert "maxItems" in node, path
                assert "x-kubernetes-list-type" in node, path
            case "object":
                free = "additionalProperties" in node or "x-kubernetes-preserve-unknown-fields" in node
                assert not free or "maxProperties" in node, path
            case None:
                assert node.get("x-kubernetes-int-or-string"), path


@pytest.mark.parametrize("plural", PLURALS)
def test_every_rule_has_message_and_reason(plural: str) -> None:
    rules = [(path, r) for path, node in _nodes(_schema(plural)) for r in node.get("x-kubernetes-validations", [])]
    assert rules
    for path, rule in rules:
        assert rule["message"], path
        assert rule["reason"].startswith("FieldValue"), path


@pytest.mark.parametrize("plural", PLURALS)
def test_inherited_settings_have_no_default(plural: str) -> None:
    with_default = {path for path, node in _nodes(_schema(plural)) if "default" in node}
    assert with_default == ({".spec.ttlSecondsAfterFinished"} if plural == constants.SESSIONS else set())


def test_operator_reads_every_field_of_letta_memory() -> None:
    letta = _schema(constants.AGENTS)["properties"]["spec"]["properties"]["memory"]["properties"]["letta"]
    given: Object = {"agent": "a", "agentID": "b", "scope": "Agent", "remember": "Disabled", "rememberBlock": "facts"}
    given |= {"retentionDays": 30, "blocks": [{"label": "facts"}], "capture": False}
    assert letta["properties"].keys() == given.keys()
    raw = {"metadata": {"namespace": "a", "name": "b", "uid": "c"}, "spec": {"memory": {"letta": given}}}
    parsed = VoiceAgent.parse(raw).letta
    assert parsed == LettaMemorySpec("a", "b", ({"label": "facts"},), False, "Agent", "Disabled", "facts", 30)


def test_memory_belongs_to_user_by_default() -> None:
    letta = _schema(constants.AGENTS)["properties"]["spec"]["properties"]["memory"]["properties"]["letta"]
    assert "User (the built-in value)" in letta["properties"]["scope"]["description"]
    assert (LettaMemorySpec().scope, LettaMemorySpec().remembers) == ("User", True)
    assert not LettaMemorySpec(scope="Agent").remembers


def test_rendered_answers_to_forget_requests_equal_schema() -> None:
    status = _schema(constants.AGENTS)["properties"]["status"]["properties"]["forgotten"]
    rendered = Forgotten("r1", 0.0, 1, "x" * 2000).render()
    properties = status["items"]["properties"]
    assert rendered.keys() == properties.keys()
    assert len(rendered["problem"]) == properties["problem"]["maxLength"]
    assert status["maxItems"] == KEPT_ANSWERS


def test_session_and_agent_share_field_bounds() -> None:
    session, agent = (_schema(p)["properties"]["spec"]["properties"] for p in (constants.SESSIONS, constants.AGENTS))
    for field in ("onLastHumanLeft", "limits"):
        assert session[field]["properties"] == agent[field]["properties"]


def test_rendered_status_fields_equal_schema() -> None:
    conditions = (Condition("Ready", "True", "AgentJoined"),)
    rendered = Status(
        inherited=Inherited(),
        conditions=conditions,
        last_reset=LastReset("LastHumanLeft", 0.0),
        outages=(Outage(0.0, 1.0),),
        absence=Absence("hello-0", 0.0),
        replaced_at=(0.0,),
        start=StartSteps(),
    ).render()
    status = _schema(constants.SESSIONS)["properties"]["status"]
    assert _fields(rendered) == {
        path for path, _ in _nodes(status) if path and path != ".conditions[].observedGeneration"
    }


def test_operator_enums_equal_schema_enums() -> None:
    spec, status = (_schema(constants.SESSIONS)["properties"][part]["properties"] for part in ("spec", "status"))
    reset = status["lastReset"]["properties"]
    assert set(reset["outcome"]["enum"]) == set(ResetOutcome)
    assert set(reset["cause"]["enum"]) == set(Cause) - {Cause.START, Cause.REPLACED}
    assert set(status["endReason"]["enum"]) == set(EndReason)
    inherited = status["inherited"]["properties"]
    for part in (spec, inherited):
        assert set(part["onLastHumanLeft"]["properties"]["action"]["enum"]) == set(Action)


def _fields(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {p for key, child in value.items() for p in {f"{path}.{key}"} | _fields(child, f"{path}.{key}")}
    if isinstance(value, list):
        return {p for child in value for p in {f"{path}[]"} | _fields(child, f"{path}[]")}
    return set()
