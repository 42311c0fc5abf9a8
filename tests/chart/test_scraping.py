"""The support code of the cluster test of monitoring, tested with a real Prometheus and without a cluster."""

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from voicesession_agent.metrics import Metrics
from voicesession_operator.domain.pod_manifest import build_pod
from voicesession_operator.metrics import render

from hack.dashboards.__main__ import DASHBOARDS
from hack.dashboards.grafana import Panel, Query
from tests.bench import dashboard_images
from tests.support.builders import CONFIG, agent, session
from tests.support.chart.rendering import program
from tests.support.observability import prometheus, scrape_config
from tests.support.observability.prometheus import Prometheus
from tests.support.observability.scrape_config import ApiServer
from tests.support.observability.service_discovery import NAMESPACE, POD, SERVICE_NAME, endpoints_of, targets_of
from tests.support.polling import until

Json = dict[str, Any]

PEM = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="
SCRAPED = ("voicesession-operator", "voicesession-gateway")
WEBHOOK = "operator-webhook"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": PEM}}],
    "users": [{"name": "u", "user": {"client-certificate-data": PEM, "client-key-data": PEM}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


class RecordingApiServer:
    """The API server's proxy for a scraper: records each request path and answers with a pod's metrics."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.requests: set[str] = set()


@pytest.fixture
def api(tmp_path: Path) -> ApiServer:
    return ApiServer.from_kubeconfig(json.dumps(KUBECONFIG), tmp_path)


def promtool(*args: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, args)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_credential_files_are_private(api: ApiServer) -> None:
    assert base64.b64encode(api.key.read_bytes()).decode() == PEM
    assert {path.stat().st_mode & 0o777 for path in (api.ca, api.key, api.certificate)} == {0o600}


def test_converted_monitors_pass_promtool_check(api: ApiServer, tmp_path: Path) -> None:
    rules, config = tmp_path / "rules.yaml", tmp_path / "prometheus.yaml"
    rules.write_text(yaml.safe_dump(scrape_config.rules("1m", "5s")))
    configs = scrape_config.scrape_configs(scrape_config.rendered("PodMonitor"), api, tmp_path / "pods.json")
    config.write_text(yaml.safe_dump(prometheus.configuration(configs, rules)))
    promtool("check", "config", "--syntax-only", config)
    promtool("check", "rules", rules)


def test_converted_monitors_keep_namespace_and_port(api: ApiServer, tmp_path: Path) -> None:
    made = scrape_config.scrape_configs(scrape_config.rendered("PodMonitor"), api, tmp_path / "pods.json")
    configs = {config["job_name"].split("/voicesession-")[1]: config["relabel_configs"] for config in made}
    assert configs.keys() == {"operator", "agents", "gateway"}
    here = {"source_labels": [NAMESPACE], "regex": "voicesession\\-system", "action": "keep"}
    assert [here in relabelings for relabelings in configs.values()] == [True, False, True]
    voiceagent = {"source_labels": [f"{POD}_label_voicesession_dev_agent"], "target_label": "voiceagent"}
    assert voiceagent in configs["agents"]
    assert {"source_labels": [f"{POD}_container_port_name"], "regex": "metrics", "action": "keep"} in configs["agents"]


def test_running_pod_has_a_target_per_port() -> None:
    ports = [{"name": "control", "containerPort": 8080}, {"name": "metrics", "containerPort": 9001}]
    pod = {
        "metadata": {
            "namespace": "default",
            "name": "hello-0",
            "uid": "u",
            "labels": {"voicesession.dev/agent": "a-66"},
        },
        "spec": {"containers": [{"name": "agent", "ports": ports}, {"name": "bare"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }
    control, metrics = targets_of([pod])
    assert control["targets"] == ["10.0.0.1:8080"]
    assert metrics == {
        "targets": ["10.0.0.1:9001"],
        "labels": {
            NAMESPACE: "default",
            f"{POD}_name": "hello-0",
            f"{POD}_phase": "Running",
            f"{POD}_container_name": "agent",
            f"{POD}_container_port_name": "metrics",
            f"{POD}_container_port_number": "9001",
            f"{POD}_label_voicesession_dev_agent": "a-66",
        },
    }
    assert targets_of([{**pod, "status": {"phase": "Pending"}}]) == []


def test_pod_targets_are_scraped_through_api_server_proxy(api_server: RecordingApiServer, tmp_path: Path) -> None:
    pods = tmp_path / "pods.json"
    pods.write_text(json.dumps(targets_of([_operator(), _agent()])))
    api = replace(ApiServer.from_kubeconfig(json.dumps(KUBECONFIG), tmp_path), server=api_server.address)
    made = scrape_config.scrape_configs(scrape_config.rendered("PodMonitor"), api, pods)
    plain = [{**config, "scheme": "http", "tls_config": {}} for config in made]
    with prometheus.running(plain, scrape_config.rules("1m", "2s"), tmp_path) as found:
        until(lambda: len(found.query("up == 1")) == 2, "both pods are scraped", 30, poll=0.5)
        up = {(s["metric"]["pod"], s["metric"].get("voiceagent"), s["metric"]["endpoint"]) for s in found.query("up")}
        leaders = found.query("voicesession_leader")
    assert up == {("operator-1", None, "http"), ("hello-0", "agent-66", "metrics")}
    assert [series["metric"]["namespace"] for series in leaders] == ["voicesession-system"]
    assert api_server.requests == {
        "/api/v1/namespaces/voicesession-system/pods/operator-1:8080/proxy/metrics",
        "/api/v1/namespaces/default/pods/hello-0:9001/proxy/metrics",
    }


def test_service_targets_are_scraped_through_api_server_proxy(api_server: RecordingApiServer, tmp_path: Path) -> None:
    services = scrape_config.rendered("Service")
    slices = [_slice(service) for service in services if service["metadata"]["name"].startswith(SCRAPED)]
    targets = tmp_path / "endpoints.json"
    targets.write_text(json.dumps(endpoints_of(services, slices)))
    api = replace(ApiServer.from_kubeconfig(json.dumps(KUBECONFIG), tmp_path), server=api_server.address)
    monitors = scrape_config.rendered("ServiceMonitor", "monitoring.serviceMonitor.enabled=true")
    made = scrape_config.scrape_configs(monitors, api, targets)
    plain = [{**config, "scheme": "http", "tls_config": {}} for config in made]
    with prometheus.running(plain, scrape_config.rules("1m", "2s"), tmp_path) as found:
        until(lambda: len(found.query("up == 1")) == 2, "both pods are scraped", 30, poll=0.5)
        assert {s["metric"]["endpoint"] for s in found.query("up")} == {"metrics"}
    proxied = "/api/v1/namespaces/voicesession-system/pods"
    assert api_server.requests == {
        f"{proxied}/voicesession-operator-metrics-1:8080/proxy/metrics",
        f"{proxied}/voicesession-gateway-metrics-1:9001/proxy/metrics",
    }


def test_only_ready_endpoints_of_known_service_are_targets() -> None:
    (service,) = [found for found in scrape_config.rendered("Service") if found["metadata"]["name"].endswith(WEBHOOK)]
    ready = _slice(service)
    starting = {**ready, "endpoints": [{**ready["endpoints"][0], "conditions": {"ready": False}}]}
    assert [target["targets"] for target in endpoints_of([service], [ready, starting])] == [["10.0.0.1:8080"]]
    assert endpoints_of([], [ready]) == []


def test_prometheus_accepts_every_dashboard_query(idle_prometheus: Prometheus) -> None:
    for dashboard in DASHBOARDS.values():
        for panel in dashboard.panels:
            for query in panel.queries:
                idle_prometheus.query(query.expr.replace("$window", "1m"))
            dashboard_images.peak(idle_prometheus, panel, 60, "1m")


def test_panel_peak_equals_highest_sample(idle_prometheus: Prometheus) -> None:
    panel = Panel("P", "Of p.", [Query("vector(0) / 0"), Query("vector(3)")])
    assert dashboard_images.peak(idle_prometheus, panel, 60, "1m") == 3.0


def test_loss_of_all_operators_fires_alert(idle_prometheus: Prometheus) -> None:
    idle_prometheus.wait_until_firing("VoicesessionOperatorDown", 30)
    assert idle_prometheus.firing() == idle_prometheus.fired_alerts() == {"VoicesessionOperatorDown"}
    (graph,) = idle_prometheus.graph("vector(1)", idle_prometheus.began - 10, idle_prometheus.began, 5)
    assert [value for _, value in graph.points] == [1.0, 1.0, 1.0]


@pytest.fixture
def api_server() -> Iterator[RecordingApiServer]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            recording.requests.add(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(render() if ":8080/" in self.path else Metrics().render())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        recording = RecordingApiServer(f"https://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield recording
        server.shutdown()
        thread.join()


def _operator() -> Json:
    selector = scrape_config.rendered("PodMonitor")[0]["spec"]["selector"]["matchLabels"]
    return _pod("voicesession-system", "operator-1", selector, {"name": "http", "containerPort": 8080})


def _agent() -> Json:
    made = build_pod(session().build(), agent(), 0, CONFIG)
    (container,) = made["spec"]["containers"]
    return _pod("default", "hello-0", made["metadata"]["labels"], *container["ports"])


def _slice(service: Json) -> Json:
    """Return the EndpointSlice of a Service with one pod and one port."""
    meta, (port,) = service["metadata"], service["spec"]["ports"]
    name = meta["name"]
    pod = {"kind": "Pod", "name": f"{name}-1"}
    return {
        "metadata": {"namespace": meta["namespace"], "labels": {SERVICE_NAME: name}},
        "ports": [{"name": port["name"], "port": port["port"]}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": pod}],
    }


def _pod(namespace: str, name: str, labels: Json, *ports: Json) -> Json:
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": list(ports)}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }


@pytest.fixture(scope="module")
def idle_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus without targets, for queries and alerts."""
    with prometheus.running([], scrape_config.rules("1m", "2s"), tmp_path_factory.mktemp("prometheus")) as found:
        yield found
