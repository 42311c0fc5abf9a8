"""Conversion of Kubernetes pods into the values that decisions use, and the choice of a session's own pods."""

from typing import Any

import pytest
from voicesession_common.api import constants
from voicesession_operator.controller.pod_watcher import owned_pods, to_pod
from voicesession_operator.domain.naming import pod_name

from tests.support import operator_objects
from tests.support.builders import UID, session


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({}, ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "no"}}}]},
            "CreateContainerConfigError: no",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
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
