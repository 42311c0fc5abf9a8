"""Monitors, network access and dashboards: off by default, and each target scraped once."""

import json
from typing import Any

import pytest
from voicesession_common.api import constants as our_names
from voicesession_gateway.metrics import REGISTRY as GATEWAY
from voicesession_operator.domain.pod_manifest import build_pod

from hack.dashboards.__main__ import DASHBOARDS, FOLDER, text
from hack.dashboards.grafana import COLUMNS
from tests.support.builders import CONFIG, agent, session
from tests.support.chart.known_metrics import families, in_query
from tests.support.chart.rendering import FULLNAME, NAMESPACE, ChartError, named, one, render, template, workload

Object = dict[str, Any]

POD_MONITORS = {"monitoring.podMonitor.enabled": True}
SERVICE_MONITORS = {"monitoring.serviceMonitor.enabled": True}
DASHBOARDS_ON = {"monitoring.dashboards.enabled": True}
KINDS = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}
PANELS = [pytest.param(p, id=f"{name}: {p.title}") for name, d in DASHBOARDS.items() for p in d.panels]


def monitors(values: Object) -> set[tuple[str, str]]:
    return {(kind, name.removeprefix(f"{FULLNAME}-")) for kind, name in named(render(values)) if kind in KINDS}


def test_monitoring_is_off_by_default() -> None:
    assert monitors({}) == set()
    assert not [name for kind, name in named(render()) if "dashboard" in name]


def test_every_component_is_scraped_once() -> None:
    assert monitors(POD_MONITORS) == {("PodMonitor", "operator"), ("PodMonitor", "agents"), ("PodMonitor", "gateway")}
    assert monitors(SERVICE_MONITORS) == {("ServiceMonitor", "operator"), ("ServiceMonitor", "gateway")}
    both = {("ServiceMonitor", "operator"), ("ServiceMonitor", "gateway"), ("PodMonitor", "agents")}
    assert monitors(POD_MONITORS | SERVICE_MONITORS) == both
    without = {("PodMonitor", "operator"), ("PodMonitor", "agents")}
    assert monitors(POD_MONITORS | {"gateway.enabled": False}) == without
    assert monitors(SERVICE_MONITORS | {"gateway.enabled": False}) == {("ServiceMonitor", "operator")}


@pytest.mark.parametrize("values", [POD_MONITORS, SERVICE_MONITORS])
def test_gateway_metrics_port_is_scraped(values: Object) -> None:
    objects = render(values)
    ports = {p["name"]: p["containerPort"] for p in workload(objects, "gateway")["spec"]["containers"][0]["ports"]}
    kind, field = ("PodMonitor", "podMetricsEndpoints") if values is POD_MONITORS else ("ServiceMonitor", "endpoints")
    spec = one(objects, kind, f"{FULLNAME}-gateway")["spec"]
    assert ports[spec[field][0]["port"]] == 9001
    assert _selects(spec, one(objects, "Service", f"{FULLNAME}-gateway-metrics")["metadata"]["labels"])
    public, scrapers = one(objects, "NetworkPolicy", f"{FULLNAME}-gateway")["spec"]["ingress"]
    assert [port["port"] for rule in (public, scrapers) for port in rule["ports"]] == [9000, 9001]
    assert "from" not in public
    (only,) = one(render(), "NetworkPolicy", f"{FULLNAME}-gateway")["spec"]["ingress"]
    assert only == public


@pytest.mark.parametrize("values", [POD_MONITORS, SERVICE_MONITORS])
def test_operator_port_is_scraped(values: Object) -> None:
    objects = render(values)
    pod = workload(objects, "operator")
    if values is POD_MONITORS:
        spec = one(objects, "PodMonitor", f"{FULLNAME}-operator")["spec"]
        (port,) = pod["spec"]["containers"][0]["ports"]
        assert spec["podMetricsEndpoints"] == [{"port": port["name"], "path": "/metrics", "interval": "15s"}]
        assert spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    else:
        spec = one(objects, "ServiceMonitor", f"{FULLNAME}-operator")["spec"]
        services = [o for o in objects if o["kind"] == "Service" and _selects(spec, o["metadata"]["labels"])]
        ports = [(s["metadata"]["name"], p["name"]) for s in services for p in s["spec"]["ports"]]
        assert [name for name, port in ports if port == spec["endpoints"][0]["port"]] == [
            f"{FULLNAME}-operator-metrics"
        ]


def test_agent_pod_monitor_selects_built_pod() -> None:
    pod = build_pod(session().build(), agent(), 0, CONFIG)
    spec = one(render(POD_MONITORS), "PodMonitor", f"{FULLNAME}-agents")["spec"]
    assert _selects(spec, pod["metadata"]["labels"])
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    assert ports[spec["podMetricsEndpoints"][0]["port"]] == our_names.METRICS_PORT
    (relabeling,) = spec["podMetricsEndpoints"][0]["relabelings"]
    assert relabeling["sourceLabels"] == [f"__meta_kubernetes_pod_label_{_as_label(our_names.AGENT_LABEL)}"]


def test_agent_pod_monitor_covers_watched_namespaces() -> None:
    values = POD_MONITORS | {"operator.watchNamespaces": ["north", "south"]}
    found = [one(render(v), "PodMonitor", f"{FULLNAME}-agents")["spec"] for v in (POD_MONITORS, values)]
    assert [spec["namespaceSelector"] for spec in found] == [{"any": True}, {"matchNames": ["north", "south"]}]


def test_scraper_may_reach_agent_metrics_port_only() -> None:
    name = f"{FULLNAME}-agent-pods"
    (operator,) = one(render(), "NetworkPolicy", name)["spec"]["ingress"]
    assert [port["port"] for port in operator["ports"]] == [our_names.CONTROL_PORT]
    peers = [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]
    first, second = one(render(POD_MONITORS | {"monitoring.podMonitor.from": peers}), "NetworkPolicy", name)["spec"][
        "ingress"
    ]
    assert first == operator
    assert second == {"from": peers, "ports": [{"protocol": "TCP", "port": our_names.METRICS_PORT}]}


def test_monitoring_labels_are_on_every_object() -> None:
    values = POD_MONITORS | {"monitoring.prometheusRule.enabled": True, "monitoring.labels": {"release": "stack"}}
    found = [o["metadata"]["labels"] for o in render(values) if o["kind"] in KINDS]
    assert len(found) == 4
    assert all(labels["release"] == "stack" for labels in found)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"monitoring.podMonitor.enable": True}, "additional properties 'enable' not allowed"),
        ({"monitoring.interval": "often"}, "monitoring/interval"),
        ({"monitoring.podMonitor.from": []}, "monitoring/podMonitor/from"),
        ({"monitoring.prometheusRule.for": "soon"}, "monitoring/prometheusRule/for"),
        ({"monitoring.prometheusRule.runbookURL": "docs#x"}, "monitoring/prometheusRule/runbookURL"),
    ],
)
def test_invalid_monitoring_value_is_rejected_with_path(values: Object, complaint: str) -> None:
    with pytest.raises(ChartError, match=complaint):
        template(values)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_file_equals_source(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == text(DASHBOARDS[name]), "run `python -m hack.dashboards`"


def test_dashboard_folder_has_no_other_files() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(DASHBOARDS)


def test_dashboards_are_config_maps_for_sidecar() -> None:
    values = DASHBOARDS_ON | {"monitoring.dashboards.annotations": {"grafana_folder": "Voice"}}
    found = [o for o in render(values) if o["metadata"]["name"].startswith(f"{FULLNAME}-dashboard-")]
    assert len(found) == len(DASHBOARDS)
    for config in found:
        assert config["metadata"]["namespace"] == NAMESPACE
        assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert config["metadata"]["annotations"] == {"grafana_folder": "Voice"}
        ((file, held),) = config["data"].items()
        assert json.loads(held) == json.loads((FOLDER / file.removeprefix("voicesession-")).read_text())


@pytest.mark.parametrize("panel", PANELS)
def test_panel_has_description_and_known_metrics(panel: Any) -> None:
    assert panel.description.endswith(".")
    assert panel.queries
    for query in panel.queries:
        assert in_query(query.expr) <= families(), query.expr


def test_every_gateway_metric_is_in_a_panel() -> None:
    asked = {name for d in DASHBOARDS.values() for p in d.panels for q in p.queries for name in in_query(q.expr)}
    ours = [family.name for family in GATEWAY.collect() if family.name.startswith("voicesession_")]
    assert [name for name in ours if not any(metric.startswith(name) for metric in asked)] == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((FOLDER / f"{name}.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= COLUMNS
        taken |= cells


def _selects(spec: Object, labels: dict[str, str]) -> bool:
    return bool(spec["selector"]["matchLabels"].items() <= labels.items())


def _as_label(name: str) -> str:
    return name.replace(".", "_").replace("/", "_").replace("-", "_")
