"""What a story of monitoring is made of: a model that is slow, an agent that the gateway offers, turns without end."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster import constants
from tests.support.cluster import gateway, manifests, slow_proxy
from tests.support.cluster.gateway import Gateway
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.scenario import Trial
from tests.support.polling import until

KNOWN_SECONDS = 30
READY_SECONDS = 60
SCRIPTED_LLM = "app.kubernetes.io/component=scripted-llm"
SEND_TURNS = """
import http.client, json, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/tmp/voicesession-job.sock")
supervisor = Unix("supervisor")
for number in range(int(sys.argv[1])):
    turn = json.dumps({"user": f"turn {number}", "assistant": "yes"})
    supervisor.request("POST", "/turn", turn, {"Content-Type": "application/json"})
    supervisor.getresponse().read()
"""


def send_turns(kube: Kube, pod: str, namespace: str, count: int) -> None:
    """In an agent pod: what its job does after every turn, more often than people could talk."""
    kube.exec(pod, namespace, "python", "-c", SEND_TURNS, str(count))


def slow_model(place: Trial, seconds: float) -> str:
    """The address of a language model that begins each answer so late."""
    (scripted,) = place.kube.all("pods", constants.NAMESPACE, SCRIPTED_LLM)
    upstream = f"{scripted['status']['podIP']}:8000"
    place.kube.apply(slow_proxy.proxy("slow-model", place.namespace, upstream, "/completions", seconds, 1000))
    place.kube.wait("pod/slow-model", "condition=Ready", place.namespace, READY_SECONDS)
    found = place.kube.get("pod", "slow-model", place.namespace)
    assert found
    return f"{found['status']['podIP']}:8000"


@contextmanager
def offered(kube: Kube, limits: Json | None = None, **env: str) -> Iterator[tuple[Gateway, str]]:
    """The cluster's gateway, and the name of an agent that it offers while the block runs."""
    name, people = f"offered-{secrets.token_hex(3)}", gateway.in_cluster(kube)
    document = manifests.fake_agent(name, constants.EXAMPLE_NAMESPACE, **env)
    kube.apply({**document, "spec": document["spec"] | ({"limits": limits} if limits else {})})
    try:
        until(lambda: people.knows(name), "the gateway knows the agent", KNOWN_SECONDS)
        yield people, name
    finally:
        kube.delete("voiceagent", name, constants.EXAMPLE_NAMESPACE)
