"""Faults and load for the tests of monitoring: a slow model, an agent on the gateway, many turns, pools."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster import constants
from tests.support.cluster import gateway, manifests, slow_proxy
from tests.support.cluster.gateway import Gateway
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.scenario import Scenario
from tests.support.polling import until

IDLE_PANELS = frozenset(
    {
        "Retries",
        "Differences found by resyncs",
        "Orphaned rooms",
        "Failed Kubernetes requests",
        "Failed Kubernetes requests of the gateway",
        "Rejected control requests",
        "Repeated turns",
        "User memory errors",
    }
)
"""Panels of events that these tests do not cause reliably; a line at 0 is enough."""
LISTED_SECONDS = 30
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
    """Send turns to the supervisor from inside its pod, like its job, but faster than humans talk."""
    kube.exec(pod, namespace, "python", "-c", SEND_TURNS, str(count))


def slow_model(scenario: Scenario, seconds: float) -> str:
    """Start a proxy of the scripted language model that delays each answer; return its address."""
    (scripted,) = scenario.kube.all("pods", constants.NAMESPACE, SCRIPTED_LLM)
    upstream = f"{scripted['status']['podIP']}:8000"
    scenario.kube.apply(slow_proxy.proxy("slow-model", scenario.namespace, upstream, "/completions", seconds, 1000))
    scenario.kube.wait("pod/slow-model", "condition=Ready", scenario.namespace, READY_SECONDS)
    found = scenario.kube.get("pod", "slow-model", scenario.namespace)
    assert found
    return f"{found['status']['podIP']}:8000"


@contextmanager
def offered_agent(kube: Kube, limits: Json | None = None, **env: str) -> Iterator[tuple[Gateway, str]]:
    """Yield the release's gateway and the name of a VoiceAgent that exists while the block runs."""
    name, client = f"offered-{secrets.token_hex(3)}", gateway.in_cluster(kube)
    document = manifests.fake_agent(name, constants.EXAMPLE_NAMESPACE, **env)
    kube.apply({**document, "spec": document["spec"] | ({"limits": limits} if limits else {})})
    try:
        until(lambda: client.lists_agent(name), "the gateway lists the agent", LISTED_SECONDS)
        yield client, name
    finally:
        kube.delete("voiceagent", name, constants.EXAMPLE_NAMESPACE)


def start_cold(scenario: Scenario, count: int) -> None:
    """Start sessions beside a pool without warm pods, and apply a pool that cannot have any."""
    scenario.kube.apply(manifests.pool("empty", scenario.namespace, warm={"min": 0}))
    scenario.kube.apply(manifests.pool("lost", scenario.namespace, "nobody", warm={"min": 1}))
    for number in range(count):
        scenario.start_session(f"cold-{number}", join=3600)


def start_warm(scenario: Scenario) -> None:
    """Start a session with a warm pod."""
    scenario.kube.apply(manifests.pool("full", scenario.namespace, warm={"min": 1}))
    scenario.kube.wait("voicepool/full", "condition=Ready", scenario.namespace, READY_SECONDS)
    scenario.start_session("warm", join=3600)
