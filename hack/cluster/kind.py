"""The kind cluster: created unless a working one exists, and loaded with missing images."""

import json
from collections.abc import Iterable
from functools import partial

from hack.cluster import engine, offline_images, programs
from hack.cluster.constants import CLUSTER, CONTEXT, NODE_IMAGE, ROOT
from hack.cluster.process import CommandError, Log, output, pipe, run, succeeds

CONFIG = ROOT / "kind-config.yaml"
CONFIG_MAP = ("configmap", "kind-config", "-n", "kube-system")
STARTS = "starts"  # a key of the ConfigMap: JSON with the start time of each node container
LOADED = "/var/lib/voicesession-images"  # in a node: JSON with the ID of each loaded image
WAIT = "180s"


def exists() -> bool:
    """Return whether a cluster of the project exists, in any state."""
    return CLUSTER in output(programs.path("kind"), "get", "clusters").split()


def nodes(role: str = "") -> list[str]:
    """Return the names of the node containers, including stopped ones; `role` is control-plane or worker."""
    filters = [f"label=io.x-k8s.kind.cluster={CLUSTER}", *([f"label=io.x-k8s.kind.role={role}"] if role else [])]
    options = [part for item in filters for part in ("--filter", item)]
    return sorted(output("docker", "ps", "--all", "--format", "{{.Names}}", *options).split())


def worker_address() -> str:
    """Return the address of the first worker, which serves the node ports."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return output("docker", "inspect", "--format", template, _workers()[0])


def kubectl(*arguments: str, timeout: float | None = None, stdin: str | None = None) -> str:
    """Run kubectl with the cluster's context and return its output; raise CommandError on failure."""
    return output(programs.path("kubectl"), "--context", CONTEXT, *arguments, timeout=timeout, stdin=stdin)


def ensure(log: Log) -> None:
    """Keep a healthy cluster with the current node image and configuration; otherwise recreate it.

    A cluster whose node containers restarted, for example with the Docker engine, is recreated.
    Its nodes look Ready from the first answer on, because their stored status is old,
    and its API server and pods restart during the next minutes, while the release is installed.
    """
    if exists():
        if _is_healthy():
            log("the cluster exists and is healthy")
            return
        log("[1/2] deleting the broken, restarted or outdated cluster")
        delete(log)
    log("[2/2] creating")
    _create(log)


def delete(log: Log) -> None:
    """Delete the cluster, and kind's network unless another cluster uses it."""
    run(programs.path("kind"), "delete", "cluster", "--name", CLUSTER, log=log)
    if succeeds("docker", "network", "rm", "kind"):
        log("removed the network kind")


def load(images: Iterable[str], log: Log) -> list[str]:
    """Load images into each worker that lacks their current ID; return the loaded images."""
    ids = {image: engine.image_id(image) for image in images}
    loaded: set[str] = set()
    for node in _workers():
        present = _loaded_ids(node)
        todo = [image for image, identity in ids.items() if present.get(image) != identity]
        if todo:
            log(f"[{node}] {len(todo)} of {len(ids)} images")
            _send(node, todo, log)
            _record_ids(node, {**present, **{image: ids[image] for image in todo}})
            loaded.update(todo)
    return sorted(loaded)


def _workers() -> list[str]:
    workers = nodes("worker") or nodes("control-plane")
    if not workers:
        raise CommandError(("kind", "get", "nodes"), 1, f"the cluster {CLUSTER} does not exist: run `make up`")
    return workers


def _is_healthy() -> bool:
    return _is_current() and succeeds(
        programs.path("kubectl"), "--context", CONTEXT, "wait", "--for=condition=Ready", "node", "--all",
        "--timeout=40s", timeout=60
    )  # fmt: skip


def _is_current() -> bool:
    """Return whether each node runs since the cluster was created, with the current configuration and node image."""
    expected = engine.image_id(NODE_IMAGE) if offline_images.is_built_here(NODE_IMAGE) else ""
    for node in nodes():
        running, image = output("docker", "inspect", "--format", "{{.State.Running}} {{.Image}}", node).split()
        if running != "true" or (expected and image != expected):
            return False
    return _stored() == {CONFIG.name: CONFIG.read_text(), STARTS: _starts()}


def _starts() -> str:
    starts = {node: output("docker", "inspect", "--format", "{{.State.StartedAt}}", node) for node in nodes()}
    return json.dumps(starts)


def _stored() -> dict[str, str]:
    """Return the data of the ConfigMap that was stored when the cluster was created; empty if it is unreadable."""
    try:
        data: dict[str, str] = json.loads(kubectl("get", *CONFIG_MAP, "-o", "json", timeout=20))["data"]
    except CommandError:
        return {}
    return data


def _create(log: Log) -> None:
    image = ["--image", NODE_IMAGE] if offline_images.is_built_here(NODE_IMAGE) else []
    run(
        programs.path("kind"),
        "create",
        "cluster",
        "--name",
        CLUSTER,
        "--config",
        str(CONFIG),
        *image,
        "--wait",
        WAIT,
        log=log,
    )
    kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={WAIT}")
    kubectl("create", *CONFIG_MAP, f"--from-file={CONFIG}", f"--from-literal={STARTS}={_starts()}")


def _loaded_ids(node: str) -> dict[str, str]:
    try:
        ids: dict[str, str] = json.loads(output("docker", "exec", node, "cat", LOADED))
    except (CommandError, json.JSONDecodeError):
        return {}
    return ids


def _record_ids(node: str, ids: dict[str, str]) -> None:
    output("docker", "exec", "-i", node, "sh", "-c", f"cat > {LOADED}", stdin=json.dumps(ids))


def _send(node: str, images: list[str], log: Log) -> None:
    source = ("docker", "save", *images)
    sink = ("docker", "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-")
    pipe(source, sink, partial(_report, log))


def _report(log: Log, moved: int) -> None:
    log(f"{moved / 1e6:.0f} MB")
