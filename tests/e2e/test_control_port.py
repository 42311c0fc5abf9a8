"""The control port of a real agent pod with invalid tokens and with invalid requests."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.cluster import control_port
from tests.support.cluster.control_port import ControlPortClient, sign
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.nodes import agent_pod
from tests.support.cluster.scenario import Scenario

pytestmark = pytest.mark.cluster

BODIES = {
    b"": "the body is not JSON",
    b"\xff\xfe": "the body is not JSON",
    b"{": "the body is not JSON",
    b"[]": "the body is not an object",
    b"{}": "room must be of type dict",
}
"""Invalid bodies and the reasons of the refusal."""
FIELDS: dict[str, list[object]] = {
    "epoch": [-1, "two", 1.5, True],
    "capture": ["yes", 1],
    "idleSeconds": ["soon", -1],
    "cause": [5, []],
    "token": [""],
}
"""Invalid values of one field in an otherwise valid request."""


@pytest.fixture
def session(scenario: Scenario, agent_66: Json) -> Session:
    """Start a session with the example agent."""
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "memory"))
    return scenario.start_session("call", "agent-66")


def test_invalid_requests_are_refused_with_reason_and_counted(scenario: Scenario, session: Session) -> None:
    uid = agent_pod(scenario.kube, session.pod, scenario.namespace)["metadata"]["uid"]
    key, sid = control_port.operator_key(scenario.kube), scenario.agent_sid(session)
    with control_port.connect(scenario.kube, session.pod, scenario.namespace) as port:
        _check_tokens(port, key, uid)
        _check_bodies(port, key, uid, session)
        other = json.dumps(_desired_state(session) | {"sessionUID": "another"}).encode()
        assert port.request("PUT", other, sign(key, uid, "PUT", other)) == (409, "bound to another session")
        assert port.request("GET", token=sign(key, uid)) == (200, "")

    assert scenario.agent_sid(session) == sid, "a refused request disturbed the agent"
    assert scenario.session("call").is_true("Ready")


def _check_tokens(port: ControlPortClient, key: str, uid: str) -> None:
    before, good, body = port.refused_requests(), sign(key, uid), b"{}"
    answers = {
        "missing": port.request("GET"),
        "malformed": port.request("GET", b"", "not-a-token"),
        "signature": port.request("GET", token=sign(_another_key(), uid)),
        "audience": port.request("GET", token=sign(key, "another-pod")),
        "method": port.request("PUT", token=sign(key, uid)),
        "body": port.request("PUT", body, sign(key, uid, "PUT", b"another body")),
    }
    assert port.request("GET", token=good) == (200, "")
    answers["replayed"] = port.request("GET", token=good)

    assert answers == {reason: (401, reason) for reason in answers}
    after = port.refused_requests()
    counted = {reason: after.get(reason, 0.0) - before.get(reason, 0.0) for reason in answers}
    assert counted == dict.fromkeys(answers, 1.0)


def _check_bodies(port: ControlPortClient, key: str, uid: str, session: Session) -> None:
    answers = {body: port.request("PUT", body, sign(key, uid, "PUT", body)) for body in BODIES}
    assert answers == {body: (400, reason) for body, reason in BODIES.items()}
    for field, values in FIELDS.items():
        for value in values:
            body = json.dumps(_desired_state(session) | {field: value}).encode()
            status, reason = port.request("PUT", body, sign(key, uid, "PUT", body))
            assert status == 400, f"{field}={value!r} was accepted"
            assert field in reason, f"{field}={value!r}: {reason}"
            assert str(session.uid) not in reason


def _desired_state(session: Session) -> Json:
    """Return a valid request without effect: its epoch is an earlier one."""
    room = session.status["room"]
    return {"sessionUID": session.uid, "epoch": 0, "room": {"name": room["name"], "url": room["url"]}, "token": "t"}


def _another_key() -> str:
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(*pem).decode()
