"""What the doctor makes of what it observes."""

from typing import Any

from voicesession_cli.doctor import verdicts as judging
from voicesession_cli.doctor.verdicts import State, Verdict

NOW = 1795518154.0


def states(verdicts: list[Verdict]) -> list[State]:
    assert all(bool(v.mend) == (v.state == State.FAILED) for v in verdicts)
    return [v.state for v in verdicts]


def definition(served: bool = True, established: str = "True") -> dict[str, Any]:
    return {
        "spec": {"versions": [{"name": "v1alpha1", "served": served}]},
        "status": {"conditions": [{"type": "Established", "status": established}]},
    }


def test_definitions() -> None:
    found = [None, definition(served=False), definition(established="False"), definition()]
    expected = [State.FAILED] * 3 + [State.OK]
    assert states([judging.definition("voicesessions.voicesession.dev", raw) for raw in found]) == expected


def lease(holder: str, renewed: str = "2026-11-24T11:02:30.000000Z") -> dict[str, Any]:
    return {"metadata": {"name": "l", "namespace": "home"}, "spec": {"holderIdentity": holder, "renewTime": renewed}}


def test_a_leader_is_an_operator_that_renews() -> None:
    found = [None, lease(""), lease("nobody"), lease("op-0", "2026-11-24T10:00:00.000000Z"), lease("op-0")]
    assert states([judging.lease(raw, {"op-0"}, NOW) for raw in found]) == [State.FAILED] * 4 + [State.OK]


def test_workloads() -> None:
    meta = {"name": "v-letta", "namespace": "home"}
    found = [
        {"metadata": meta, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}
        for replicas, ready in ((0, 0), (2, 1), (2, 2))
    ]
    assert states([judging.workload("Letta", raw) for raw in found]) == [State.FAILED, State.FAILED, State.OK]


def test_answers() -> None:
    assert states([judging.livekit_key(code) for code in (200, 401, 503)]) == [State.OK, State.FAILED, State.FAILED]
    assert states([judging.letta(code) for code in (200, 401, 500)]) == [State.OK, State.FAILED, State.FAILED]
    assert "signature" in judging.webhook_delivery(401, "signature").message
    assert states([judging.webhook_delivery(200, ""), judging.access("RBAC", "operator", [])]) == [State.OK, State.OK]
    assert judging.access("RBAC", "operator", ["create pods"]).message == "the operator may not create pods"


def test_images_that_cannot_be_pulled_are_named() -> None:
    waiting = {"image": "own:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod = {"metadata": {"namespace": "calls", "name": "p"}, "status": {"containerStatuses": [waiting]}}
    assert "own:1 (calls/p)" in judging.images([pod]).message
    assert judging.images([]).state == State.OK
