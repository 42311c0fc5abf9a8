"""The chart and the examples pass helm lint and kubeconform."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from hack.cluster import constants
from tests.support.chart import schemas
from tests.support.chart.rendering import VARIANTS, ChartError, template

OF_OTHERS = "PodMonitor,ServiceMonitor,PrometheusRule"
"""Kinds of the Prometheus Operator, unknown to the test cluster."""
EXAMPLES = sorted((constants.ROOT / "examples").rglob("*.yaml"))


def test_helm_lint_strict_passes(helm: str) -> None:
    done = subprocess.run([helm, "lint", "--strict", str(constants.CHART)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_conforms_to_kubernetes_schemas(kubeconform: str, schema_folder: Path, variant: str) -> None:
    _conforms(kubeconform, schema_folder, template(VARIANTS[variant], "--include-crds"))


@pytest.mark.cluster
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_conforms_to_crds(kubeconform: str, schema_folder: Path, example: Path) -> None:
    _conforms(kubeconform, schema_folder, example.read_text())


@pytest.mark.cluster
def test_kubeconform_reports_misspelled_field(kubeconform: str, schema_folder: Path) -> None:
    broken = template({}).replace("imagePullPolicy:", "imagePullPolice:", 1)
    with pytest.raises(AssertionError, match="imagePullPolice"):
        _conforms(kubeconform, schema_folder, broken)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"operator.replica": 3}, "additional properties 'replica' not allowed"),
        ({"operator.replicas": 0}, "minimum"),
        ({"livekit.external.enabled": True}, "livekit/external/url"),
        ({"livekit.external.enabled": True, "livekit.external.url": "wss://x"}, "livekit/external/existingSecret"),
        ({"letta.external.enabled": True}, "letta/external/url"),
        ({"postgres.external.enabled": True}, "postgres/external/existingSecret"),
        ({"livekit.service.type": "LoadBalancer"}, "livekit/service/type"),
        ({"livekit.nodePorts.udp": 7882}, "livekit/nodePorts/udp"),
        ({"livekit.publicURL": "example.com"}, "livekit/publicURL"),
        ({"operator.watchNamespaces": ["Bad_Name"]}, "watchNamespaces"),
    ],
)
def test_invalid_value_is_rejected_with_path(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ChartError, match=complaint):
        template(values)


def _conforms(kubeconform: str, folder: Path, manifests: str) -> None:
    location = f"{folder}/{schemas.LOCATION}"
    done = subprocess.run(
        [kubeconform, "-strict", "-summary", "-skip", OF_OTHERS, "-schema-location", location, "-"],
        input=manifests,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
