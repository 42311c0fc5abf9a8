"""Every rule of the CRDs, accepted and refused by a real API server."""

import copy
import json
from typing import NamedTuple

import pytest

from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.manifests import agent, fake_agent, session

pytestmark = pytest.mark.cluster


class Rule(NamedTuple):
    field: tuple[str, ...]
    good: object
    bad: object
    says: str


ANYWHERE = "default"
"""Nothing is stored by a dry run."""
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
    "onLastHumanLeft": ({"onLastHumanLeft": {"graceSeconds": 9}}, "onLastHumanLeft is immutable"),
}
DOCUMENTED = {
    "voicesession.spec.onLastHumanLeft": ("grace passes first", "graceSeconds", "Teardown"),
    "voicesession.spec.onLastHumanLeft.action": ("Reset keeps room and pod", "Recycle", "takes over"),
    "voicesession.status.lastReset": ("outcome", "completedAt"),
    "voiceagent.spec.memory.letta.scope": ("a Letta agent of their own",),
    "voiceagent.spec.stt.options": ("turnDetection",),
    "voicesession.spec.limits": ("startSeconds", "maxDurationSeconds"),
    "voicesession.spec.end": ("politely",),
    "voiceagent.spec.memory.letta": ("Letta agent",),
    "voiceagent.spec.entrypoint": ("package.module:function",),
}


def changed(document: Json, field: tuple[str, ...], value: object) -> Json:
    """A copy with one field of its spec set."""
    result = copy.deepcopy(document)
    place = result["spec"]
    for step in field[:-1]:
        place = place.setdefault(step, {})
    place[field[-1]] = value
    return result


def try_apply(kube: Kube, document: Json) -> str:
    """What the API server complains of; empty when it would take the object."""
    try:
        kube.run("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(document))
    except KubectlError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", AGENT_RULES)
def test_agent_rule(kube: Kube, name: str) -> None:
    rule = AGENT_RULES[name]
    assert try_apply(kube, changed(agent("a", ANYWHERE), rule.field, rule.good)) == ""
    assert rule.says in try_apply(kube, changed(agent("a", ANYWHERE), rule.field, rule.bad))


@pytest.mark.parametrize("name", SESSION_RULES)
def test_session_rule(kube: Kube, name: str) -> None:
    rule = SESSION_RULES[name]
    assert try_apply(kube, changed(session("s", ANYWHERE), rule.field, rule.good)) == ""
    assert rule.says in try_apply(kube, changed(session("s", ANYWHERE), rule.field, rule.bad))


def test_what_is_fixed_stays_and_what_may_change_may(kube: Kube, namespace: str) -> None:
    kube.apply(fake_agent("fake", namespace), session("s", namespace))
    for patch, says in IMMUTABLE.values():
        with pytest.raises(KubectlError, match=says):
            kube.patch("voicesession", "s", namespace, {"spec": patch})
    kube.patch("voicesession", "s", namespace, {"spec": {"limits": {"joinSeconds": 5}, "ttlSecondsAfterFinished": 60}})
    kube.patch("voicesession", "s", namespace, {"spec": {"end": True}})
    with pytest.raises(KubectlError, match="end is final"):
        kube.patch("voicesession", "s", namespace, {"spec": {"end": False}})


def test_unknown_fields_are_named(kube: Kube, namespace: str) -> None:
    document = changed(session("s", namespace), ("graceSecond",), 3)
    with pytest.raises(KubectlError, match="unknown field"):
        kube.run("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(document))


@pytest.mark.parametrize("field", DOCUMENTED)
def test_explain_reads_like_documentation(kube: Kube, field: str) -> None:
    text = " ".join(kube.run("explain", field).split())
    for words in DOCUMENTED[field]:
        assert words in text


def test_columns_short_names_and_category(kube: Kube, namespace: str) -> None:
    kube.apply(fake_agent("fake", namespace), session("s", namespace))
    header = kube.run("get", "vs", "-n", namespace).splitlines()[0].split()
    assert header[1:] == ["AGENT", "PHASE", "HUMANS", "RESETS", "ROOM", "POD", "AGE"]
    listed = kube.run("get", "voice", "-n", namespace, "-o", "name").split()
    assert listed == ["voiceagent.voicesession.dev/fake", "voicesession.voicesession.dev/s"]
    assert kube.run("get", "va", "-n", namespace, "-o", "name").split() == listed[:1]
