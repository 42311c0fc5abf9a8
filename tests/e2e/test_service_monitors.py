"""The chart's ServiceMonitors: Prometheus scrapes each replica of operator and gateway through its Service."""

import json
from pathlib import Path

import pytest

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube
from tests.support.observability import prometheus, scrape_config, service_discovery
from tests.support.observability.prometheus import Prometheus
from tests.support.polling import until

pytestmark = [pytest.mark.cluster]

COMPONENT = "app.kubernetes.io/component"
SEEN_SECONDS = 30


def test_service_monitors_scrape_all_replicas(kube: Kube, tmp_path: Path) -> None:
    targets = tmp_path / "endpoints.json"
    targets.write_text(json.dumps(service_discovery.endpoints_of(kube.all("services"), kube.all("endpointslices"))))
    monitors = scrape_config.rendered("ServiceMonitor", "monitoring.serviceMonitor.enabled=true")
    configs = scrape_config.scrape_configs(monitors, scrape_config.api_server(kube, tmp_path), targets)
    replicas = {component: _replicas(kube, component) for component in ("operator", "gateway")}
    assert all(replicas.values())

    with prometheus.running(configs, {"groups": []}, tmp_path) as found:
        until(lambda: {c: _scraped(found, c) for c in replicas} == replicas, "all replicas are scraped", SEEN_SECONDS)
        leaders = found.values("sum(voicesession_leader)")
        gateways = found.query("voicesession_gateway_live_sessions")
    assert leaders == [1.0]
    assert len(gateways) == len(replicas["gateway"])


def _replicas(kube: Kube, component: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in kube.all("pods", constants.NAMESPACE, f"{COMPONENT}={component}")}


def _scraped(found: Prometheus, component: str) -> set[str]:
    up = found.query(f'up{{job="{constants.NAMESPACE}/{constants.RELEASE}-{component}"}} == 1')
    return {series["metric"]["pod"] for series in up}
