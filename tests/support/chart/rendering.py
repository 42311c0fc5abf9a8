"""Rendering of the chart with helm, and access to its objects."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from hack.cluster import constants

Object = dict[str, Any]

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

RELEASE = "rel"
FULLNAME = "rel-voicesession"
NAMESPACE = "home"

EVERYTHING = {"demo.scriptedLLM.enabled": True, "livekit.service.type": "NodePort"}
EXTERNAL_LIVEKIT = {
    "livekit.external.enabled": True,
    "livekit.external.url": "wss://livekit.example.com",
    "livekit.external.existingSecret": "their-livekit",
}
EXTERNAL_LETTA = {
    "letta.external.enabled": True,
    "letta.external.url": "https://letta.example.com",
    "letta.external.existingSecret": "their-letta",
}
EXTERNAL_POSTGRES = {"postgres.external.enabled": True, "postgres.external.existingSecret": "their-postgres"}
NAMESPACED = {"operator.watchNamespaces": ["north", "south"]}
OPEN_GATEWAY = {
    "gateway.auth.mode": "none",
    "gateway.auth.allowAnonymous": True,
    "gateway.service.type": "NodePort",
    "gateway.defaultAgent": "agent-66",
}
PUBLIC_GATEWAY = {
    "gateway.auth.mode": "oidc",
    "gateway.auth.oidc.issuer": "https://login.example.com",
    "gateway.auth.oidc.audience": "voice",
    "gateway.ingress.enabled": True,
    "gateway.ingress.host": "voice.example.com",
    "gateway.ingress.tlsSecret": "voice-example-com-tls",
    "gateway.corsOrigins": ["https://www.example.com"],
    "gateway.allowFrom": [{"namespaceSelector": {"matchLabels": {"team": "ingress"}}}],
}

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "external-livekit": EXTERNAL_LIVEKIT,
    "external-letta": EXTERNAL_LETTA,
    "external-postgres": EXTERNAL_POSTGRES,
    "all-external": EXTERNAL_LIVEKIT | EXTERNAL_LETTA,
    "no-letta": {"letta.enabled": False},
    "namespaced": NAMESPACED,
    "open-gateway": OPEN_GATEWAY,
    "public-gateway": PUBLIC_GATEWAY,
    "monitored": {
        "monitoring.podMonitor.enabled": True,
        "monitoring.prometheusRule.enabled": True,
        "monitoring.dashboards.enabled": True,
    },
    "traced": {"tracing.enabled": True, "tracing.endpoint": "http://collector:4318"},
    "bare": {
        "letta.enabled": False,
        "networkPolicy.enabled": False,
        "uninstall.endSessions": False,
        "gateway.enabled": False,
    },
}


class ChartError(Exception):
    """Error of helm; the text is its error output."""


def program(name: str) -> str:
    """Return the path of a program from `make up`, or from PATH. Raises FileNotFoundError."""
    cached = constants.BIN / name
    found = str(cached) if cached.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is neither in {constants.BIN} nor on PATH: run `make up` first")
    return found


def template(values: Mapping[str, Any], *flags: str) -> str:
    """Return the output of `helm template` for values with dotted paths. Raises ChartError."""
    return _template(*(f"--set-json={path}={json.dumps(value)}" for path, value in values.items()), *flags)


@cache
def _template(*flags: str) -> str:
    kubernetes = f"--kube-version={constants.KUBERNETES}"
    command = [program("helm"), "template", RELEASE, str(constants.CHART), "-n", NAMESPACE, kubernetes, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise ChartError(done.stderr)
    return done.stdout


def render(values: Mapping[str, Any] | None = None) -> list[Object]:
    """Return every object of the chart, with hooks and without CRDs."""
    return [found for found in yaml.load_all(template(values or {}), Loader=_Loader) if found]


def one(objects: list[Object], kind: str, name: str) -> Object:
    """Return the object of that kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def named(objects: list[Object]) -> set[tuple[str, str]]:
    """Return kind and name of every object."""
    return {(o["kind"], o["metadata"]["name"]) for o in objects}


def pod_templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield name and pod template of every workload."""
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield found["metadata"]["name"], found["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod template, init containers first."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: Object) -> dict[str, Any]:
    """Return the environment variables by name, with the literal value or the source."""
    return {e["name"]: e["valueFrom"] if "valueFrom" in e else e["value"] for e in container.get("env", [])}


def workload(objects: list[Object], name: str) -> Object:
    """Return the pod template of `<fullname>-<name>`."""
    return dict(pod_templates(objects))[f"{FULLNAME}-{name}"]


def crd(plural: str) -> Object:
    """Return a CustomResourceDefinition of crds/."""
    found: Object = yaml.safe_load((constants.CHART / "crds" / f"{plural}.yaml").read_text())
    return found
