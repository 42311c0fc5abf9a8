"""Servers made slow: a proxy that holds answers back, and Letta's Service leading to one for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster import constants
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.letta import PORT, SERVICE
from tests.support.polling import until

IMAGE = f"voicesession/fake-agent:{constants.VERSION}"
"""Any image of ours with Python in it."""
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
"""Holds back the answers to the first TIMES requests with HELD in their first line; Letta has done them by then."""


@contextmanager
def answers_held(kube: Kube, path: str, seconds: float, times: int) -> Iterator[None]:
    """Begin it before an agent pod is started: a connection that is already open goes on to Letta itself."""
    service = kube.get("service", SERVICE, constants.NAMESPACE)
    assert service, f"no service {SERVICE}"
    usual: Json = service["spec"]["selector"]
    kube.apply(proxy(PROXY, constants.NAMESPACE, f"{_address(kube, usual)}:{PORT}", path, seconds, times))
    try:
        kube.wait(f"pod/{PROXY}", "condition=Ready", constants.NAMESPACE, READY_SECONDS)
        _select(kube, {**dict.fromkeys(usual), LABEL: PROXY})
        yield
    finally:
        _select(kube, {LABEL: None, **usual})
        kube.delete("pod", PROXY, constants.NAMESPACE, "--force", "--grace-period=0")


def held(kube: Kube) -> int:
    """How many answers have been held back so far."""
    return kube.logs(PROXY, constants.NAMESPACE).count("held")


def _select(kube: Kube, selector: Json) -> None:
    """None takes a key away."""
    kube.patch("service", SERVICE, constants.NAMESPACE, {"spec": {"selector": selector}})
    until(lambda: _endpoints(kube), "somebody behind Letta's Service", READY_SECONDS)


def _endpoints(kube: Kube) -> list[Json]:
    """None while the slices still tell of the pods that the Service led to before."""
    service = kube.get("service", SERVICE, constants.NAMESPACE)
    slices = kube.all("endpointslices", constants.NAMESPACE, f"kubernetes.io/service-name={SERVICE}")
    there = [a for s in slices for e in s.get("endpoints") or () for a in e["addresses"]]
    return there if service and set(there) == {_address(kube, service["spec"]["selector"])} else []


def _address(kube: Kube, selector: Json) -> str:
    """Of the one running pod."""
    chosen = ",".join(f"{key}={value}" for key, value in selector.items())
    found = [p for p in kube.all("pods", constants.NAMESPACE, chosen) if "deletionTimestamp" not in p["metadata"]]
    assert len(found) == 1, f"{len(found)} pods have the labels {chosen}"
    return str(found[0]["status"]["podIP"])


def proxy(name: str, namespace: str, upstream: str, path: str, seconds: float, times: int) -> Json:
    """A pod that listens on the port of `upstream` (host:port) and leads there; holds answers as the program says."""
    host, _, port = upstream.rpartition(":")
    environment = {"UPSTREAM": host, "PORT": port, "HELD": path, "SECONDS": seconds, "TIMES": times}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # Where network policies are enforced, Letta lets in whoever is an agent pod.
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
                    # Letta's Service looks for its port by this name.
                    "ports": [{"name": "http", "containerPort": int(port)}],
                    "env": [{"name": key, "value": str(value)} for key, value in environment.items()],
                    "readinessProbe": {"tcpSocket": {"port": int(port)}, "periodSeconds": 1},
                }
            ],
        },
    }
