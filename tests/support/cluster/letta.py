"""Letta asked from the host: what an agent's memory holds, and a hand that edits it."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from letta_client import Letta as Client

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube
from tests.support.participants.transcript_match import words

SERVICE = f"{constants.RELEASE}-letta"
PORT = 8283
MANY = 500


class Letta:
    """One connection, around whatever a test does to Letta's Service: a port-forward goes to the pod itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def block(self, agent_id: str, label: str) -> str:
        return str(self._client.agents.blocks.retrieve(label, agent_id=agent_id).value)

    def write(self, agent_id: str, label: str, value: str) -> None:
        """What a person does in Letta's own interface."""
        self._client.agents.blocks.update(label, agent_id=agent_id, value=value)

    def heard(self, agent_id: str) -> list[str]:
        """What people said, as it was captured, in Letta's order; each as lower-case words."""
        page = self._client.agents.messages.list(agent_id, limit=MANY, order="asc")
        found = [m for m in page.items if m.message_type == "user_message"]
        return [" ".join(words(str(m.content))) for m in found]


@contextmanager
def opened(kube: Kube) -> Iterator[Letta]:
    """With the password of the release's own Secret."""
    secret = kube.get("secret", SERVICE, constants.NAMESPACE)
    assert secret, f"no secret {SERVICE} in {constants.NAMESPACE}"
    password = base64.b64decode(secret["data"]["password"]).decode()
    with (
        kube.forwarded(f"deployment/{SERVICE}", constants.NAMESPACE, PORT) as port,
        Client(base_url=f"http://127.0.0.1:{port}", api_key=password, timeout=30) as client,
    ):
        yield Letta(client)
