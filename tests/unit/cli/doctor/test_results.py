"""Check results from single objects and HTTP responses."""

from voicesession_cli.doctor import results
from voicesession_cli.doctor.results import CheckResult, CheckState
from voicesession_common import JsonObject

NOW = 1795518154.0
OK, FAILED = CheckState.OK, CheckState.FAILED


def states(found: list[CheckResult]) -> list[CheckState]:
    assert all(bool(result.fix) == (result.state == FAILED) for result in found)
    return [result.state for result in found]


def definition(served: bool = True, established: str = "True") -> JsonObject:
    return {
        "spec": {"versions": [{"name": "v1alpha1", "served": served}]},
        "status": {"conditions": [{"type": "Established", "status": established}]},
    }


def test_definition_must_exist_serve_version_and_be_established() -> None:
    found = [None, definition(served=False), definition(established="False"), definition()]
    checked = [results.definition("voicesessions.voicesession.dev", raw) for raw in found]
    assert states(checked) == [FAILED] * 3 + [OK]


def lease(holder: str, renewed: str = "2026-11-24T11:02:30.000000Z") -> JsonObject:
    identity = holder and f"{holder}_uid-of-the-pod_1763853611.500"
    return {"metadata": {"name": "l", "namespace": "home"}, "spec": {"holderIdentity": identity, "renewTime": renewed}}


def test_lease_must_be_held_and_renewed_by_operator_pod() -> None:
    found = [None, lease(""), lease("unknown"), lease("op-0", "2026-11-24T10:00:00.000000Z"), lease("op-0")]
    assert states([results.lease(raw, {"op-0"}, NOW) for raw in found]) == [FAILED] * 4 + [OK]


def test_workload_must_have_all_pods_ready() -> None:
    meta = {"name": "v-letta", "namespace": "home"}
    found = [
        {"metadata": meta, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}
        for replicas, ready in ((0, 0), (2, 1), (2, 2))
    ]
    assert states([results.workload("Letta", raw) for raw in found]) == [FAILED, FAILED, OK]


def test_http_statuses_decide_server_checks() -> None:
    assert states([results.livekit_key(code) for code in (200, 401, 503)]) == [OK, FAILED, FAILED]
    assert states([results.letta(code) for code in (200, 401, 500)]) == [OK, FAILED, FAILED]
    assert "signature" in results.webhook_delivery(401, "signature").message
    assert states([results.webhook_delivery(200, ""), results.access("RBAC", "operator", [])]) == [OK, OK]
    assert results.access("RBAC", "operator", ["create pods"]).message == "the operator may not create pods"


def test_images_with_pull_errors_are_named() -> None:
    waiting = {"image": "own:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod = {"metadata": {"namespace": "calls", "name": "p"}, "status": {"containerStatuses": [waiting]}}
    assert "own:1 (calls/p)" in results.images([pod]).message
    assert results.images([]).state == OK
