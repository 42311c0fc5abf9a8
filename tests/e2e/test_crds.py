"""Validation rules of the CRDs on a real API server: accepted and rejected values, defaults of kubectl."""

import copy
import json
from typing import NamedTuple

import pytest

from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.manifests import agent, fake_agent, session

pytestmark = pytest.mark.cluster


class Rule(NamedTuple):
    """A field with an accepted value, a rejected value, and part of the error message."""

    field: tuple[str, ...]
    good: object
    bad: object
    message: str


NAMESPACE = "default"
"""Any namespace: a dry run stores nothing."""
SHARED_RULES = {
    "teardown": Rule(("onLastHumanLeft", "action"), "Teardown", "Explode", "Unsupported value"),
    "reset": Rule(("onLastHumanLeft", "action"), "Reset", "reset", "Unsupported value"),
    "recycle": Rule(("onLastHumanLeft", "action"), "Recycle", "", "Unsupported value"),
    "idle": Rule(("limits", "idleSeconds"), 60, -1, "greater than or equal to 0"),
    "idle at most": Rule(("limits", "idleSeconds"), 604800, 604801, "less than or equal to 604800"),
    "grace": Rule(("onLastHumanLeft", "graceSeconds"), 3600, 3601, "less than or equal to 3600"),
    "start": Rule(("limits", "startSeconds"), 1, 0, "greater than or equal to 1"),
    "replacements": Rule(("limits", "maxReplacements"), 100, 101, "less than or equal to 100"),
}
AGENT_RULES = SHARED_RULES | {
    "scope": Rule(("memory", "letta", "scope"), "Agent", "Session", "Unsupported value"),
    "scope of users": Rule(("memory", "letta", "scope"), "User", "user", "Unsupported value"),
    "remember": Rule(("memory", "letta", "remember"), "Disabled", "Never", "Unsupported value"),
    "remember block": Rule(
        ("memory", "letta"),
        {"rememberBlock": "facts", "blocks": [{"label": "facts"}]},
        {"rememberBlock": "fact", "blocks": [{"label": "facts"}]},
        "rememberBlock is not the label of one of the blocks",
    ),
    "remember block of users": Rule(
        ("memory", "letta"),
        {"rememberBlock": "facts"},
        {"rememberBlock": "fact", "blocks": [{"label": "facts"}], "agentID": "agent-1"},
        "rememberBlock is not the label of one of the blocks",
    ),
    "remember block of an existing agent": Rule(
        ("memory", "letta"),
        {"rememberBlock": "fact", "blocks": [{"label": "facts"}], "agentID": "agent-1", "scope": "Agent"},
        {"rememberBlock": "fact", "blocks": [{"label": "facts"}], "agent": "a", "scope": "Agent"},
        "rememberBlock is not the label of one of the blocks",
    ),
    "built-in remember block": Rule(
        ("memory", "letta"), {"blocks": [{"label": "facts"}]}, {"rememberBlock": "no label"}, "should match"
    ),
    "retention": Rule(("memory", "letta", "retentionDays"), 3650, 3651, "less than or equal to 3650"),
    "no retention": Rule(("memory", "letta", "retentionDays"), 0, -1, "greater than or equal to 0"),
    "volume": Rule(
        ("pod", "volumes"),
        [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        [{"name": "models", "secret": {"secretName": "a"}, "emptyDir": {}}],
        "exactly one of secret, configMap, emptyDir and persistentVolumeClaim is required",
    ),
    "volume of the operator": Rule(
        ("pod", "volumes"), [{"name": "temporary", "emptyDir": {}}], [{"name": "tmp", "emptyDir": {}}], "the name tmp"
    ),
    "volume mount": Rule(
        ("pod", "volumeMounts"),
        [{"name": "models", "mountPath": "/models"}],
        [{"name": "models", "mountPath": "/tmp"}],  # noqa: S108
        "belongs to the operator's own volume",
    ),
    "environment source": Rule(
        ("pod", "envFrom"),
        [{"secretRef": {"name": "keys"}}],
        [{"prefix": "A_"}],
        "exactly one of secretRef and configMapRef is required",
    ),
    "pull secret": Rule(("pod", "imagePullSecrets"), [{"name": "registry"}], [{}], "Required value"),
    "idle prompt": Rule(("idlePrompt",), "x" * 2048, "x" * 2049, "2048"),
    "agent or id": Rule(
        ("memory", "letta"), {"agent": "a"}, {"agent": "a", "agentID": "b"}, "agent and agentID exclude each other"
    ),
    "block limit": Rule(
        ("memory", "letta", "blocks"),
        [{"label": "human", "value": "abc", "limit": 3}],
        [{"label": "human", "value": "abcd", "limit": 3}],
        "value is longer than limit",
    ),
    "block twice": Rule(
        ("memory", "letta", "blocks"), [{"label": "a"}, {"label": "b"}], [{"label": "a"}] * 2, "Duplicate value"
    ),
    "env": Rule(
        ("pod", "env"),
        [{"name": "A", "value": "x"}],
        [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "value and valueFrom exclude each other",
    ),
    "entrypoint": Rule(("entrypoint",), "package.module:function", "no colon", "should match"),
    "provider": Rule(("stt", "provider"), "deepgram", "Not A Module", "should match"),
    "instructions": Rule(("instructions",), "x" * 32768, "x" * 32769, "32768"),
}
SESSION_RULES = SHARED_RULES | {
    "agentRef": Rule(("agentRef", "name"), "fake", "Not A Name", "should match"),
    "join": Rule(("limits", "joinSeconds"), 604800, 604801, "less than or equal to 604800"),
    "ttl": Rule(("ttlSecondsAfterFinished",), 0, -1, "greater than or equal to 0"),
    "participants": Rule(("room", "maxParticipants"), 10000, -1, "greater than or equal to 0"),
}
IMMUTABLE = {
    "agentRef": ({"agentRef": {"name": "other"}}, "agentRef is immutable"),
    "user": ({"user": "bob"}, "user is immutable"),
    "room": ({"room": {"metadata": "other"}}, "room is immutable"),
    "agentMetadata": ({"agentMetadata": "other"}, "agentMetadata is immutable"),
    "onLastHumanLeft": ({"onLastHumanLeft": {"graceSeconds": 9}}, "onLastHumanLeft is immutable"),
}
DOCUMENTED = {
    "voicesession.spec.onLastHumanLeft": ("grace passes first", "graceSeconds", "Teardown"),
    "voicesession.spec.onLastHumanLeft.action": ("Reset keeps room and pod", "Recycle", "takes over"),
    "voicesession.status.lastReset": ("outcome", "completedAt"),
    "voiceagent.spec.memory.letta.scope": ("a separate Letta agent", "User (the built-in value)"),
    "voiceagent.spec.memory.letta.retentionDays": ("is deleted",),
    "voiceagent.spec.stt.options": ("turnDetection",),
    "voicesession.spec.limits": ("startSeconds", "maxDurationSeconds"),
    "voicesession.spec.end": ("gracefully",),
    "voiceagent.spec.memory.letta": ("Letta agent",),
    "voiceagent.spec.entrypoint": ("package.module:function",),
}


def changed(document: Json, field: tuple[str, ...], value: object) -> Json:
    """Return a copy with one spec field set."""
    result = copy.deepcopy(document)
    parent = result["spec"]
    for step in field[:-1]:
        parent = parent.setdefault(step, {})
    parent[field[-1]] = value
    return result


def dry_run(kube: Kube, document: Json) -> str:
    """Return the API server's error message, or an empty string if it accepts the object."""
    try:
        kube.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
    except KubectlError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", AGENT_RULES)
def test_agent_rule_accepts_good_and_rejects_bad_value(kube: Kube, name: str) -> None:
    rule = AGENT_RULES[name]
    assert dry_run(kube, changed(agent("a", NAMESPACE), rule.field, rule.good)) == ""
    assert rule.message in dry_run(kube, changed(agent("a", NAMESPACE), rule.field, rule.bad))


@pytest.mark.parametrize("name", SESSION_RULES)
def test_session_rule_accepts_good_and_rejects_bad_value(kube: Kube, name: str) -> None:
    rule = SESSION_RULES[name]
    assert dry_run(kube, changed(session("s", NAMESPACE), rule.field, rule.good)) == ""
    assert rule.message in dry_run(kube, changed(session("s", NAMESPACE), rule.field, rule.bad))


def test_immutable_fields_reject_and_mutable_fields_accept_changes(kube: Kube, namespace: str) -> None:
    kube.apply(fake_agent("fake", namespace), session("s", namespace))
    for patch, message in IMMUTABLE.values():
        with pytest.raises(KubectlError, match=message):
            kube.patch("voicesession", "s", namespace, {"spec": patch})
    kube.patch("voicesession", "s", namespace, {"spec": {"limits": {"joinSeconds": 5}, "ttlSecondsAfterFinished": 60}})
    kube.patch("voicesession", "s", namespace, {"spec": {"end": True}})
    with pytest.raises(KubectlError, match="end is final"):
        kube.patch("voicesession", "s", namespace, {"spec": {"end": False}})


def test_unknown_field_is_rejected_by_name(kube: Kube, namespace: str) -> None:
    document = changed(session("s", namespace), ("graceSecond",), 3)
    with pytest.raises(KubectlError, match="unknown field"):
        kube.run("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(document))


@pytest.mark.parametrize("field", DOCUMENTED)
def test_explain_describes_field(kube: Kube, field: str) -> None:
    text = " ".join(kube.run("explain", field).split())
    for words in DOCUMENTED[field]:
        assert words in text


def test_printer_columns_short_names_and_category_are_set(kube: Kube, namespace: str) -> None:
    kube.apply(fake_agent("fake", namespace), session("s", namespace))
    header = kube.run("get", "vs", "-n", namespace).splitlines()[0].split()
    assert header[1:] == ["AGENT", "PHASE", "HUMANS", "RESETS", "ROOM", "POD", "AGE"]
    listed = kube.run("get", "voice", "-n", namespace, "-o", "name").split()
    assert listed == ["voiceagent.voicesession.dev/fake", "voicesession.voicesession.dev/s"]
    assert kube.run("get", "va", "-n", namespace, "-o", "name").split() == listed[:1]
