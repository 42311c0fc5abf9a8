"""The control port of a real agent pod, called by strangers and by somebody who cannot write a request."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.cluster import control_port
from tests.support.cluster.control_port import Port, sign
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.nodes import agent_pod
from tests.support.cluster.scenario import Trial

pytestmark = pytest.mark.cluster

BODIES = {
    b"": "the body is not JSON",
    b"\xff\xfe": "the body is not JSON",
    b"{": "the body is not JSON",
    b"[]": "the body is not an object",
    b"{}": "room must be of type dict",
}
"""And what is said of them."""
FIELDS: dict[str, list[object]] = {
    "epoch": [-1, "two", 1.5, True],
    "end": ["yes", 1],
    "idleSeconds": ["soon", -1],
    "cause": [5, []],
    "token": [""],
}
"""Each is wrong in a request that is otherwise right."""


@pytest.fixture
def session(trial: Trial, agent_66: Json) -> Session:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "memory"))
    return trial.ready("call", "agent-66")


def test_strangers_are_refused_and_counted_and_bad_requests_are_explained(trial: Trial, session: Session) -> None:
    uid = agent_pod(trial.kube, session.pod, trial.namespace)["metadata"]["uid"]
    key, sid = control_port.operator_key(trial.kube), trial.agent_sid(session)
    with control_port.opened(trial.kube, session.pod, trial.namespace) as port:
        _strangers(port, key, uid)
        _malformed(port, key, uid, session)
        other = json.dumps(_wanted(session) | {"sessionUID": "another"}).encode()
        assert port.ask("PUT", other, sign(key, uid, "PUT", other)) == (409, "bound to another session")
        assert port.ask("GET", token=sign(key, uid)) == (200, "")

    assert trial.agent_sid(session) == sid, "something of all that disturbed the agent"
    assert trial.session("call").is_true("Ready")


def _strangers(port: Port, key: str, uid: str) -> None:
    before, good, body = port.refused(), sign(key, uid), b"{}"
    answers = {
        "missing": port.ask("GET"),
        "malformed": port.ask("GET", b"", "not-a-token"),
        "signature": port.ask("GET", token=sign(_another_key(), uid)),
        "audience": port.ask("GET", token=sign(key, "another-pod")),
        "method": port.ask("PUT", token=sign(key, uid)),
        "body": port.ask("PUT", body, sign(key, uid, "PUT", b"another body")),
    }
    assert port.ask("GET", token=good) == (200, "")
    answers["replayed"] = port.ask("GET", token=good)

    assert answers == {reason: (401, reason) for reason in answers}
    after = port.refused()
    counted = {reason: after.get(reason, 0.0) - before.get(reason, 0.0) for reason in answers}
    assert counted == dict.fromkeys(answers, 1.0)


def _malformed(port: Port, key: str, uid: str, session: Session) -> None:
    answers = {body: port.ask("PUT", body, sign(key, uid, "PUT", body)) for body in BODIES}
    assert answers == {body: (400, reason) for body, reason in BODIES.items()}
    for field, values in FIELDS.items():
        for value in values:
            body = json.dumps(_wanted(session) | {field: value}).encode()
            status, reason = port.ask("PUT", body, sign(key, uid, "PUT", body))
            assert status == 400, f"{field}={value!r} was taken"
            assert field in reason, f"{field}={value!r}: {reason}"
            assert str(session.uid) not in reason


def _wanted(session: Session) -> Json:
    """A right request that changes nothing: of an epoch that is over."""
    room = session.status["room"]
    return {"sessionUID": session.uid, "epoch": 0, "room": {"name": room["name"], "url": room["url"]}, "token": "t"}


def _another_key() -> str:
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Ed25519PrivateKey.generate().private_bytes(*pem).decode()
