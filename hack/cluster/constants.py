"""Names, versions and paths shared by the commands and the cluster tests."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicesession"
BIN = CACHE / "bin"
LOGS = CACHE / "logs"
VENV = ROOT / ".venv"
IMAGES = ROOT / "hack" / "images"
CHART = ROOT / "charts" / "voicesession"

CLUSTER = "voicesession"
CONTEXT = f"kind-{CLUSTER}"
RELEASE = "voicesession"
NAMESPACE = "voicesession-system"
SIGNAL_NODE_PORT = 30780

EXAMPLE_AGENT = "agent-66"
EXAMPLE_SESSION = "hello"
EXAMPLE_POOL = "front"
EXAMPLE_NAMESPACE = "default"

VERSION = "0.1.0"
UV_VERSION = "0.13.9"
NODE_IMAGE = "kindest/node:v1.34.4"

KUBERNETES = "v1.34.4"
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
)
# livekit-server: the last release before its dependencies were replaced by forks that no module proxy serves.
# Kubernetes: the last minor version that runs on cgroup v1 with its default settings.
PROGRAM_VERSIONS = {
    "kind": "v0.30.0",
    **dict.fromkeys(KUBERNETES_PROGRAMS, KUBERNETES),
    "etcd": "v3.6.5",
    "coredns": "v1.14.7",
    "helm": "v3.22.0",
    "local-path-provisioner": "v0.0.30",
    "livekit-server": "v1.13.5",
    "kubeconform": "v0.8.0",
}
TOOLS = ("kind", "kubectl", "helm", "kubeconform")
