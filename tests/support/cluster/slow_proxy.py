"""Delayed answers of servers: a proxy pod, and a block in which Letta's Service selects that pod."""

from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster import constants
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.letta import PORT, SERVICE
from tests.support.polling import until

IMAGE = f"voicesession/fake-agent:{constants.VERSION}"
"""Any image of the project with Python."""
LABEL = "voicesession.dev/slow"
PROXY = "slow-letta"
READY_SECONDS = 60
PROGRAM = """
import asyncio, os

path, seconds, left = os.environ["HELD"].encode(), float(os.environ["SECONDS"]), int(os.environ["TIMES"])

async def pump(reader, writer, hold):
    try:
        while data := await reader.read(65536):
            await hold(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    to_reader, to_writer = await asyncio.open_connection(os.environ["UPSTREAM"], int(os.environ["PORT"]))
    held = False

    async def asked(data):
        global left
        nonlocal held
        if path in data.split(b"\\r\\n", 1)[0] and left > 0:
            held, left = True, left - 1
            print("held", flush=True)

    async def answered(data):
        nonlocal held
        if held:
            held = False
            await asyncio.sleep(seconds)

    await asyncio.gather(pump(reader, to_writer, asked), pump(to_reader, writer, answered))

async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", int(os.environ["PORT"])) as server:
        await server.serve_forever()

asyncio.run(main())
"""
"""Delay the answers to the first TIMES requests with HELD in the first line; the server has processed them by then."""


@contextmanager
def delayed_answers(kube: Kube, path: str, seconds: float, times: int) -> Iterator[None]:
    """Delay answers of Letta for paths that contain `path`.

    Enter the block before an agent pod starts: open connections keep going to Letta directly.
    """
    service = kube.get("service", SERVICE, constants.NAMESPACE)
    assert service, f"no service {SERVICE}"
    original: Json = service["spec"]["selector"]
    kube.apply(proxy(PROXY, constants.NAMESPACE, f"{_address(kube, original)}:{PORT}", path, seconds, times))
    try:
        kube.wait(f"pod/{PROXY}", "condition=Ready", constants.NAMESPACE, READY_SECONDS)
        _select(kube, {**dict.fromkeys(original), LABEL: PROXY})
        yield
    finally:
        _select(kube, {LABEL: None, **original})
        kube.delete("pod", PROXY, constants.NAMESPACE, "--force", "--grace-period=0")


def delayed_count(kube: Kube) -> int:
    """Return the number of answers delayed so far."""
    return kube.logs(PROXY, constants.NAMESPACE).count("held")


def _select(kube: Kube, selector: Json) -> None:
    """Set the selector of Letta's Service; the value None removes a key."""
    kube.patch("service", SERVICE, constants.NAMESPACE, {"spec": {"selector": selector}})
    until(lambda: _endpoints(kube), "an endpoint behind Letta's Service", READY_SECONDS)


def _endpoints(kube: Kube) -> list[Json]:
    """Return the addresses behind the Service; none while the slices still list the previous pods."""
    service = kube.get("service", SERVICE, constants.NAMESPACE)
    slices = kube.all("endpointslices", constants.NAMESPACE, f"kubernetes.io/service-name={SERVICE}")
    addresses = [a for s in slices for e in s.get("endpoints") or () for a in e["addresses"]]
    return addresses if service and set(addresses) == {_address(kube, service["spec"]["selector"])} else []


def _address(kube: Kube, selector: Json) -> str:
    """Return the address of the only running pod."""
    chosen = ",".join(f"{key}={value}" for key, value in selector.items())
    found = [p for p in kube.all("pods", constants.NAMESPACE, chosen) if "deletionTimestamp" not in p["metadata"]]
    assert len(found) == 1, f"{len(found)} pods have the labels {chosen}"
    return str(found[0]["status"]["podIP"])


def proxy(name: str, namespace: str, upstream: str, path: str, seconds: float, times: int) -> Json:
    """Return a proxy pod for `upstream` (host:port) that listens on the same port and delays answers."""
    host, _, port = upstream.rpartition(":")
    environment = {"UPSTREAM": host, "PORT": port, "HELD": path, "SECONDS": seconds, "TIMES": times}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # Enforced network policies admit agent pods to Letta.
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {LABEL: name, "app.kubernetes.io/component": "agent-pod"},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "proxy",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-u", "-c", PROGRAM],
                    # Letta's Service refers to the port by this name.
                    "ports": [{"name": "http", "containerPort": int(port)}],
                    "env": [{"name": key, "value": str(value)} for key, value in environment.items()],
                    "readinessProbe": {"tcpSocket": {"port": int(port)}, "periodSeconds": 1},
                }
            ],
        },
    }
