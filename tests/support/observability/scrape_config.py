"""Scrape configurations from the chart's monitors, like those of a Prometheus Operator, for a Prometheus on the host.

The host cannot reach the addresses of pods, so each scrape goes through the API server's proxy. Selectors, namespaces,
ports, paths and relabelings are the same as inside the cluster.
"""

import base64
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube, program
from tests.support.observability.service_discovery import ENDPOINT, NAMESPACE, POD, SERVICE, as_label

Json = dict[str, Any]

ON = {"podMonitor": True, "prometheusRule": True, "dashboards": False, "serviceMonitor": False}
VALUES = constants.ROOT / "hack" / "kind-values.yaml"
TARGET_LABELS = {
    "namespace": NAMESPACE,
    "pod": f"{POD}_name",
    "container": f"{POD}_container_name",
    "instance": "__address__",
}


@dataclass(frozen=True)
class MonitorFields:
    """Fields of a kind of monitor: the prefix of the selected labels, the label of the port, the endpoints field."""

    labels: str
    port: str
    endpoints: str


MONITOR_FIELDS = {
    "PodMonitor": MonitorFields(POD, f"{POD}_container_port_name", "podMetricsEndpoints"),
    "ServiceMonitor": MonitorFields(SERVICE, f"{ENDPOINT}_port_name", "endpoints"),
}


@dataclass(frozen=True)
class ApiServer:
    """Address and credentials of the API server, as files."""

    server: str
    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def from_kubeconfig(cls, text: str, folder: Path) -> "ApiServer":
        """Write the credentials of `kubectl config view --minify --flatten --raw -o json` into `folder`."""
        config = json.loads(text)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        held = {
            "ca": cluster["certificate-authority-data"],
            "certificate": user["client-certificate-data"],
            "key": user["client-key-data"],
        }
        paths = {name: folder / f"{name}.pem" for name in held}
        for name, path in paths.items():
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(held[name]))
        return cls(cluster["server"], **paths)


def api_server(kube: Kube, folder: Path) -> ApiServer:
    """Return the cluster's API server; the credentials are written into `folder`."""
    return ApiServer.from_kubeconfig(kube.run("config", "view", "--minify", "--flatten", "--raw", "-o", "json"), folder)


def rendered(kind: str, *values: str) -> list[Json]:
    """Render the chart like `make up`, with all monitoring and these values; return the objects of one kind."""
    switches = [f"monitoring.{part}.enabled={str(on).lower()}" for part, on in ON.items()]
    command = [
        program("helm"),
        "template",
        constants.RELEASE,
        str(constants.CHART),
        "-n",
        constants.NAMESPACE,
        "-f",
        str(VALUES),
    ]
    command += [f"--kube-version={constants.KUBERNETES}", *(f"--set={value}" for value in (*switches, *values))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found and found["kind"] == kind]


def rules(window: str, held: str) -> Json:
    """Return the chart's alerts with this window and this duration until they fire."""
    (rule,) = rendered("PrometheusRule", f"monitoring.prometheusRule.for={held}")
    groups = rule["spec"]["groups"]
    for alert in (alert for group in groups for alert in group["rules"]):
        alert["expr"] = re.sub(r"\[\d+[smhd]\]", f"[{window}]", alert["expr"])
    return {"groups": groups}


def scrape_configs(monitors: list[Json], api: ApiServer, targets: Path) -> list[Json]:
    """Return a configuration for each endpoint of each monitor; service_discovery.py writes the file `targets`."""
    return [
        _scrape_config(monitor, endpoint, api, targets)
        for monitor in monitors
        for endpoint in monitor["spec"][MONITOR_FIELDS[monitor["kind"]].endpoints]
    ]


def _scrape_config(monitor: Json, endpoint: Json, api: ApiServer, targets: Path) -> Json:
    meta, fields = monitor["metadata"], MONITOR_FIELDS[monitor["kind"]]
    return {
        "job_name": f"{meta['namespace']}/{meta['name']}",
        "scheme": "https",
        "tls_config": {"ca_file": str(api.ca), "cert_file": str(api.certificate), "key_file": str(api.key)},
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": [
            *_namespaces(monitor),
            *(_keep(f"{fields.labels}_label_{as_label(name)}", value) for name, value in _labels(monitor).items()),
            _keep(fields.port, endpoint["port"]),
            {"source_labels": [f"{POD}_phase"], "regex": "(Failed|Succeeded)", "action": "drop"},
            *({"source_labels": [source], "target_label": target} for target, source in TARGET_LABELS.items()),
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *(_snake_case(relabeling) for relabeling in endpoint.get("relabelings", ())),
            *_by_proxy(endpoint["path"], api),
        ],
    }


def _namespaces(monitor: Json) -> list[Json]:
    """Return the relabeling for the monitor's namespaces; the default is its own namespace."""
    selector = monitor["spec"].get("namespaceSelector", {})
    if selector.get("any"):
        return []
    names = selector.get("matchNames", [monitor["metadata"]["namespace"]])
    return [{"source_labels": [NAMESPACE], "regex": "|".join(map(re.escape, names)), "action": "keep"}]


def _by_proxy(path: str, api: ApiServer) -> list[Json]:
    sources = [TARGET_LABELS["namespace"], TARGET_LABELS["pod"], f"{POD}_container_port_number"]
    proxied = f"/api/v1/namespaces/$1/pods/$2:$3/proxy{path}"
    return [
        {
            "source_labels": sources,
            "regex": "(.+);(.+);(.+)",
            "target_label": "__metrics_path__",
            "replacement": proxied,
        },
        {"target_label": "__address__", "replacement": api.server.removeprefix("https://")},
    ]


def _labels(monitor: Json) -> dict[str, str]:
    found: dict[str, str] = monitor["spec"]["selector"]["matchLabels"]
    return found


def _keep(label: str, value: str) -> Json:
    return {"source_labels": [label], "regex": re.escape(value), "action": "keep"}


def _snake_case(relabeling: Json) -> Json:
    return {re.sub(r"(?<=[a-z])([A-Z])", lambda m: f"_{m[1].lower()}", key): value for key, value in relabeling.items()}
