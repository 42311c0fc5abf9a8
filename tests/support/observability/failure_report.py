"""State of the cluster after a failed test: sessions, pods, events and logs."""

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube, KubectlError
from tests.support.cluster.operator_pods import OPERATOR
from tests.support.cluster.scenario import AGENT_POD

TAIL = "--tail=60"


def collect(kube: Kube, namespace: str) -> list[tuple[str, str]]:
    """Return titles and texts for pytest's report sections."""
    commands = {
        "sessions": ("get", "voiceagents,voicesessions", "-n", namespace, "-o", "yaml"),
        "pods": ("get", "pods", "-n", namespace, "-o", "wide"),
        "events": ("get", "events", "-n", namespace, "--sort-by=.lastTimestamp"),
        "agent logs": ("logs", "-n", namespace, "-l", AGENT_POD, "--prefix", TAIL),
        "operator pods": ("get", "pods", "-n", constants.NAMESPACE, "-o", "wide"),
        "operator logs": ("logs", "-n", constants.NAMESPACE, "-l", OPERATOR, "--prefix", TAIL),
    }
    return [(title, _run(kube, *command)) for title, command in commands.items()]


def _run(kube: Kube, *command: str) -> str:
    try:
        return kube.run(*command)
    except (KubectlError, OSError) as error:
        return str(error)
