"""The kind cluster: created when there is none that works, and given the images its nodes lack."""

import json
from collections.abc import Iterable
from functools import partial

from hack.cluster import engine, offline_images, programs
from hack.cluster.constants import CLUSTER, CONTEXT, NODE_IMAGE, ROOT
from hack.cluster.process import CommandError, Line, output, pipe, run, succeeds

CONFIG = ROOT / "kind-config.yaml"
LOADED = "/var/lib/voicesession-images"  # in a node: JSON of each image and the ID loaded last
WAIT = "180s"


def exists() -> bool:
    """Tell whether kind knows a cluster of our name, in whatever state."""
    return CLUSTER in output(programs.path("kind"), "get", "clusters").split()


def nodes(role: str = "") -> list[str]:
    """Return the names of our node containers, also stopped ones; `role` is control-plane or worker."""
    filters = [f"label=io.x-k8s.kind.cluster={CLUSTER}", *([f"label=io.x-k8s.kind.role={role}"] if role else [])]
    options = [part for item in filters for part in ("--filter", item)]
    return sorted(output("docker", "ps", "--all", "--format", "{{.Names}}", *options).split())


def worker_address() -> str:
    """Return the address of the first worker, at which node ports answer."""
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return output("docker", "inspect", "--format", template, _workers()[0])


def kubectl(*arguments: str, timeout: float | None = None, stdin: str | None = None) -> str:
    """Run kubectl against our cluster and return what it prints; raises CommandError."""
    return output(programs.path("kubectl"), "--context", CONTEXT, *arguments, timeout=timeout, stdin=stdin)


def ensure(line: Line) -> None:
    """Keep a healthy cluster of today's node image and config; else delete what is there and create it."""
    if exists():
        if _is_healthy():
            line("a healthy cluster is there")
            return
        line("[1/2] deleting a cluster that does not work")
        delete(line)
    line("[2/2] creating")
    _create(line)


def delete(line: Line) -> None:
    """Delete our cluster, and kind's network where no other cluster uses it."""
    run(programs.path("kind"), "delete", "cluster", "--name", CLUSTER, line=line)
    if succeeds("docker", "network", "rm", "kind"):
        line("network kind removed")


def load(images: Iterable[str], line: Line) -> list[str]:
    """Load the images whose ID a worker does not hold yet; returns those that were loaded anywhere."""
    wanted = {image: engine.image_id(image) for image in images}
    loaded: set[str] = set()
    for node in _workers():
        held = _held(node)
        todo = [image for image, identity in wanted.items() if held.get(image) != identity]
        if todo:
            line(f"[{node}] {len(todo)} of {len(wanted)} images")
            _send(node, todo, line)
            _remember(node, {**held, **{image: wanted[image] for image in todo}})
            loaded.update(todo)
    return sorted(loaded)


def _workers() -> list[str]:
    found = nodes("worker") or nodes("control-plane")
    if not found:
        raise CommandError(("kind", "get", "nodes"), 1, f"there is no cluster {CLUSTER}: run `make up`")
    return found


def _is_healthy() -> bool:
    return _is_todays() and succeeds(
        programs.path("kubectl"), "--context", CONTEXT, "wait", "--for=condition=Ready", "node", "--all",
        "--timeout=40s", timeout=60
    )  # fmt: skip


def _is_todays() -> bool:
    """Tell whether each node runs, was made from today's config, and from today's stand-in where one is used."""
    expected = engine.image_id(NODE_IMAGE) if offline_images.is_stand_in(NODE_IMAGE) else ""
    for node in nodes():
        running, image = output("docker", "inspect", "--format", "{{.State.Running}} {{.Image}}", node).split()
        if running != "true" or (expected and image != expected):
            return False
    return _made_from() == CONFIG.read_text()


def _made_from() -> str:
    try:
        found = json.loads(kubectl("get", "configmap", "kind-config", "-n", "kube-system", "-o", "json", timeout=20))
    except CommandError:
        return ""
    return str(found["data"][CONFIG.name])


def _create(line: Line) -> None:
    image = ["--image", NODE_IMAGE] if offline_images.is_stand_in(NODE_IMAGE) else []
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
        line=line,
    )
    kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={WAIT}")
    kubectl("create", "configmap", "kind-config", "-n", "kube-system", f"--from-file={CONFIG}")


def _held(node: str) -> dict[str, str]:
    try:
        held: dict[str, str] = json.loads(output("docker", "exec", node, "cat", LOADED))
    except (CommandError, json.JSONDecodeError):
        return {}
    return held


def _remember(node: str, held: dict[str, str]) -> None:
    output("docker", "exec", "-i", node, "sh", "-c", f"cat > {LOADED}", stdin=json.dumps(held))


def _send(node: str, images: list[str], line: Line) -> None:
    source = ("docker", "save", *images)
    sink = ("docker", "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-")
    pipe(source, sink, partial(_report, line))


def _report(line: Line, moved: int) -> None:
    line(f"{moved / 1e6:.0f} MB")
