"""Conversion of Kubernetes pods into the values that decisions use."""

from typing import Any

import pytest
from voicesession_operator.controller.observation import to_pod

from tests.support import operator_objects


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
    ],
)
def test_to_pod_reports_the_problem_of_a_blocked_pod(status: dict[str, Any], problem: str) -> None:
    assert to_pod(operator_objects.pod(**status)).problem == problem
