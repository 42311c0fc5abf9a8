"""A job process's side of the unix socket to its supervisor."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from voicesession_agent.memory import Block, Turn

CALL_SECONDS: Final = 2.0
"""The supervisor answers within milliseconds; a stuck one must not silence the agent."""


@dataclass(frozen=True)
class JobFacts:
    """`launch` numbers this job among the pod's; `memory_hash` changes exactly when `blocks` do."""

    launch: int
    greeted: frozenset[str]
    memory_hash: str
    blocks: tuple[Block, ...]


class JobLink:
    """One connection pool for a running job; close it at the job's end."""

    def __init__(self, socket_path: str) -> None:
        self._session = aiohttp.ClientSession(
            base_url="http://supervisor",
            connector=aiohttp.UnixConnector(socket_path),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
            raise_for_status=True,
        )

    async def close(self) -> None:
        await self._session.close()

    async def job(self) -> JobFacts:
        """Raise aiohttp.ClientError or TimeoutError when the supervisor does not answer."""
        async with self._session.get("/job") as answer:
            raw = await answer.json()
        memory = raw["memory"]
        return JobFacts(
            launch=raw["launch"],
            greeted=frozenset(raw["greeted"]),
            memory_hash=memory["hash"],
            blocks=tuple(Block(**block) for block in memory["blocks"]),
        )

    async def report(self, kind: str, **facts: Any) -> None:
        async with self._session.post("/report", json={"kind": kind, **facts}):
            return

    async def turn(self, turn: Turn) -> None:
        async with self._session.post("/turn", json={"user": turn.user, "assistant": turn.assistant}):
            return

    async def leave_wanted(self) -> None:
        """Return when the supervisor wants this job out of its room; raise when the supervisor is gone."""
        async with self._session.get("/leave", timeout=aiohttp.ClientTimeout()):
            return


def report_now(socket_path: str, kind: str, **facts: Any) -> None:
    """Report from a process that has no event loop yet. Raise OSError when the supervisor does not answer."""
    connection = _UnixConnection(socket_path)
    try:
        connection.request("POST", "/report", json.dumps({"kind": kind, **facts}), {"Content-Type": "application/json"})
        connection.getresponse().read()
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("supervisor", timeout=CALL_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
