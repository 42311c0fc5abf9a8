"""What a Prometheus Operator makes of the chart's monitors, for a Prometheus outside of the cluster.

Pods' addresses lead nowhere from there, so that every scrape goes through the API server's proxy; all else is as it
would be inside: the same selectors, namespaces, ports, paths and relabelings.
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
class Looks:
    """What a kind of monitor looks at: the labels that it selects by, the name of a port, its field of endpoints."""

    at: str
    port: str
    endpoints: str


LOOKS = {
    "PodMonitor": Looks(POD, f"{POD}_container_port_name", "podMetricsEndpoints"),
    "ServiceMonitor": Looks(SERVICE, f"{ENDPOINT}_port_name", "endpoints"),
}


@dataclass(frozen=True)
class ApiServer:
    """How to get in: files that hold what a kubeconfig does."""

    server: str
    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def from_kubeconfig(cls, text: str, folder: Path) -> "ApiServer":
        """From `kubectl config view --minify --flatten --raw -o json`; writes files for our own eyes into `folder`."""
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
    """The cluster's own; writes files into `folder`."""
    return ApiServer.from_kubeconfig(kube.run("config", "view", "--minify", "--flatten", "--raw", "-o", "json"), folder)


def rendered(kind: str, *values: str) -> list[Json]:
    """The chart's objects of that kind with all monitoring on, as `make up` would install them with these values."""
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
    """The chart's alerts: over `window` instead of their own ones, and firing after their condition held for `held`."""
    (rule,) = rendered("PrometheusRule", f"monitoring.prometheusRule.for={held}")
    groups = rule["spec"]["groups"]
    for alert in (alert for group in groups for alert in group["rules"]):
        alert["expr"] = re.sub(r"\[\d+[smhd]\]", f"[{window}]", alert["expr"])
    return {"groups": groups}


def scrape_configs(monitors: list[Json], api: ApiServer, targets: Path) -> list[Json]:
    """One for every endpoint of every monitor; `targets` is a file that discovery.py makes: pods, or endpoints."""
    return [
        _scrape_config(monitor, endpoint, api, targets)
        for monitor in monitors
        for endpoint in monitor["spec"][LOOKS[monitor["kind"]].endpoints]
    ]


def _scrape_config(monitor: Json, endpoint: Json, api: ApiServer, targets: Path) -> Json:
    meta, looks = monitor["metadata"], LOOKS[monitor["kind"]]
    return {
        "job_name": f"{meta['namespace']}/{meta['name']}",
        "scheme": "https",
        "tls_config": {"ca_file": str(api.ca), "cert_file": str(api.certificate), "key_file": str(api.key)},
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": [
            *_where(monitor),
            *(_keep(f"{looks.at}_label_{as_label(name)}", value) for name, value in _labels(monitor).items()),
            _keep(looks.port, endpoint["port"]),
            {"source_labels": [f"{POD}_phase"], "regex": "(Failed|Succeeded)", "action": "drop"},
            *({"source_labels": [source], "target_label": target} for target, source in TARGET_LABELS.items()),
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *(_snake_case(relabeling) for relabeling in endpoint.get("relabelings", ())),
            *_by_proxy(endpoint["path"], api),
        ],
    }


def _where(monitor: Json) -> list[Json]:
    """By default a monitor looks into its own namespace."""
    selector = monitor["spec"].get("namespaceSelector", {})
    if selector.get("any"):
        return []
    wanted = selector.get("matchNames", [monitor["metadata"]["namespace"]])
    return [{"source_labels": [NAMESPACE], "regex": "|".join(map(re.escape, wanted)), "action": "keep"}]


def _by_proxy(path: str, api: ApiServer) -> list[Json]:
    place = [TARGET_LABELS["namespace"], TARGET_LABELS["pod"], f"{POD}_container_port_number"]
    proxied = f"/api/v1/namespaces/$1/pods/$2:$3/proxy{path}"
    return [
        {"source_labels": place, "regex": "(.+);(.+);(.+)", "target_label": "__metrics_path__", "replacement": proxied},
        {"target_label": "__address__", "replacement": api.server.removeprefix("https://")},
    ]


def _labels(monitor: Json) -> dict[str, str]:
    found: dict[str, str] = monitor["spec"]["selector"]["matchLabels"]
    return found


def _keep(label: str, value: str) -> Json:
    return {"source_labels": [label], "regex": re.escape(value), "action": "keep"}


def _snake_case(relabeling: Json) -> Json:
    return {re.sub(r"(?<=[a-z])([A-Z])", lambda m: f"_{m[1].lower()}", key): value for key, value in relabeling.items()}
