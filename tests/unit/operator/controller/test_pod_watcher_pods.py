"""Conversion of Kubernetes pods into the values that decisions use, and the choice of a session's own pods."""

from typing import Any

import pytest
from voicesession_common.api import constants
from voicesession_operator.controller.pod_watcher import owned_pods, to_pod
from voicesession_operator.domain.naming import pod_name

from tests.support import operator_objects
from tests.support.builders import UID, session

WAITING = {"waiting": {"reason": "PodInitializing"}}
BROKEN = {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}}
RUNNING: dict[str, Any] = {"running": {}}
ENDED = {"terminated": {"reason": "Error", "exitCode": 1}}


def container(state: dict[str, Any], name: str = constants.AGENT_CONTAINER) -> dict[str, Any]:
    return {"name": name, "state": state}


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({}, ""),
        ({"containerStatuses": [container({"waiting": {"reason": "ContainerCreating"}})]}, ""),
        (
            {"containerStatuses": [container({"waiting": {"reason": "CreateContainerConfigError", "message": "no"}})]},
            "CreateContainerConfigError: no",
        ),
        (
            {"containerStatuses": [container({"terminated": {"reason": "OOMKilled", "exitCode": 137}})]},
            "OOMKilled: exit code 137",
        ),
        ({"reason": "Evicted", "message": "disk"}, "Evicted: disk"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2"}]},
            "Unschedulable: 0/2",
        ),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2"}]}, "Unknown: 0/2"),
    ],
)
def test_to_pod_reports_the_problem_of_a_blocked_pod(status: dict[str, Any], problem: str) -> None:
    assert to_pod(operator_objects.pod(**status)).problem == problem


@pytest.mark.parametrize(
    ("agent", "sidecar", "problem"),
    [
        (RUNNING, ENDED, ""),
        (RUNNING, BROKEN, ""),
        (ENDED, RUNNING, "Error: exit code 1"),
        (ENDED, BROKEN, "Error: exit code 1"),
        (WAITING, BROKEN, "container mesh: ImagePullBackOff: no image"),
        (WAITING, RUNNING, ""),
    ],
)
@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
def test_to_pod_with_sidecar_reports_the_problem_of_the_agent(
    agent: dict[str, Any], sidecar: dict[str, Any], problem: str, kind: str
) -> None:
    """Put the sidecar first, as some injectors do; a native sidecar is an init container."""
    own = container(agent)
    statuses = {"containerStatuses": [own]} | {kind: [container(sidecar, "mesh")]}
    if kind == "containerStatuses":
        statuses[kind].append(own)
    assert to_pod(operator_objects.pod(**statuses)).problem == problem


@pytest.mark.parametrize(("agent", "live"), [(RUNNING, True), (WAITING, True), (ENDED, False)])
@pytest.mark.parametrize("sidecar", [RUNNING, ENDED])
def test_pod_with_sidecar_lives_as_long_as_the_agent(
    agent: dict[str, Any], live: bool, sidecar: dict[str, Any]
) -> None:
    statuses = [container(sidecar, "mesh"), container(agent)]
    assert to_pod(operator_objects.pod(phase="Running", containerStatuses=statuses)).live is live


def forged(ordinal: int | str = 0, **meta: Any) -> dict[str, Any]:
    """Return a pod with labels, annotations and owner of the session, except for `meta`."""
    raw = operator_objects.pod(0)
    annotations = {**raw["metadata"]["annotations"], constants.ORDINAL_ANNOTATION: str(ordinal)}
    return {**raw, "metadata": {**raw["metadata"], "annotations": annotations, **meta}}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(forged(namespace="team-b"), id="another namespace"),
        pytest.param(forged(1, namespace="team-b", name=pod_name("hello", UID, 1)), id="a replacement elsewhere"),
        pytest.param(forged(ownerReferences=[{"uid": UID}]), id="no controller"),
        pytest.param(forged(ownerReferences=[{"uid": "another", "controller": True}]), id="another owner"),
        pytest.param(forged(name="anything"), id="another name"),
        pytest.param(forged(1), id="the name of another ordinal"),
        pytest.param(forged(99, name=pod_name("hello", UID, 99)), id="more replacements than allowed"),
        pytest.param(forged("9" * 5000, name="anything"), id="an ordinal too long to parse"),
    ],
)
def test_owned_pods_leaves_out_forged_pod(raw: dict[str, Any]) -> None:
    own = operator_objects.pod()
    assert [pod.uid for pod in owned_pods([raw, own], session().build())] == [own["metadata"]["uid"]]


@pytest.mark.parametrize(
    ("allowed", "status", "highest"),
    [(3, {}, 4), (0, {}, 1), (3, {"recycles": 2}, 6), (1, {"replacements": 3}, 5), (-1, {}, 1)],
)
def test_owned_pods_with_rising_ordinals_end_at_the_limit(allowed: int, status: dict[str, int], highest: int) -> None:
    made = session().limits(max_replacements=allowed).status(**status).build()
    pods = owned_pods([operator_objects.pod(ordinal) for ordinal in range(10)], made)
    assert [pod.ordinal for pod in pods] == list(range(highest + 1))
