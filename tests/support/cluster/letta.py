"""Letta's API from the host: read, edit and search the memory of an agent."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from letta_client import Letta as Client
from letta_client import NotFoundError

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube
from tests.support.participants.transcript_match import words

SERVICE = f"{constants.RELEASE}-letta"
PORT = 8283
MESSAGE_LIMIT = 500


class Letta:
    """One connection to the Letta pod; a port-forward bypasses Letta's Service, which tests may change."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def block(self, agent_id: str, label: str) -> str:
        """Return the value of a memory block."""
        return str(self._client.agents.blocks.retrieve(label, agent_id=agent_id).value)

    def write(self, agent_id: str, label: str, value: str) -> None:
        """Set the value of a memory block, like an edit in Letta's user interface."""
        self._client.agents.blocks.update(label, agent_id=agent_id, value=value)

    def protect(self, agent_id: str, label: str) -> None:
        """Mark a memory block as read only."""
        self._client.agents.blocks.update(label, agent_id=agent_id, read_only=True)

    def exists(self, agent_id: str) -> bool:
        """Return whether Letta has the agent."""
        try:
            self._client.agents.retrieve(agent_id)
        except NotFoundError:
            return False
        return True

    def block_ids(self, agent_id: str) -> list[str]:
        """Return the IDs of the memory blocks of an agent."""
        found = self._client.agents.retrieve(agent_id, include=["agent.blocks"])
        return [str(block.id) for block in found.blocks]

    def block_exists(self, block_id: str) -> bool:
        """Return whether Letta has the memory block."""
        try:
            self._client.blocks.retrieve(block_id)
        except NotFoundError:
            return False
        return True

    def captured_texts(self, agent_id: str) -> list[str]:
        """Return the captured sentences of humans in Letta's order, each as lower-case words."""
        page = self._client.agents.messages.list(agent_id, limit=MESSAGE_LIMIT, order="asc")
        found = [m for m in page.items if m.message_type == "user_message"]
        return [" ".join(words(str(m.content))) for m in found]


@contextmanager
def open_letta(kube: Kube) -> Iterator[Letta]:
    """Connect to the release's Letta with the password of its Secret."""
    secret = kube.get("secret", SERVICE, constants.NAMESPACE)
    assert secret, f"no secret {SERVICE} in {constants.NAMESPACE}"
    password = base64.b64decode(secret["data"]["password"]).decode()
    with (
        kube.forwarded(f"deployment/{SERVICE}", constants.NAMESPACE, PORT) as port,
        Client(base_url=f"http://127.0.0.1:{port}", api_key=password, timeout=30) as client,
    ):
        yield Letta(client)
