"""A job process's side of the unix socket to its supervisor."""

import http.client
import json
import socket
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import aiohttp

from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.memory.backend import Block, Turn

CALL_SECONDS: Final = 2.0
"""The supervisor answers within milliseconds; a stuck one must not silence the agent."""


REMEMBER_SECONDS: Final = 6.0
"""A little more than the supervisor takes at most."""


@dataclass(frozen=True)
class JobFacts:
    """`memory_hash` changes exactly when `blocks` do; `remembers` tells whether memory can be written to."""

    greeted: frozenset[str]
    memory_hash: str
    blocks: tuple[Block, ...]
    remembers: bool = False
    idle_seconds: float = 0.0


class Dismissal(StrEnum):
    LEAVE = "leave"
    RESET = "reset"


class SupervisorClient:
    """One connection pool for a running job; close it at the job's end. `launch` is its number among the pod's jobs."""

    def __init__(self, socket_path: str, launch: int) -> None:
        self._launch = launch
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
            greeted=frozenset(raw["greeted"]),
            memory_hash=memory["hash"],
            blocks=tuple(Block(**block) for block in memory["blocks"]),
            remembers=memory["remembers"],
            idle_seconds=raw["idleSeconds"],
        )

    async def report(self, kind: str, **facts: Any) -> None:
        """Raise as `job` does; so do all that follow."""
        async with self._session.post("/report", json={"kind": kind, "launch": self._launch, **facts}):
            return

    async def beat(self, vitals: HealthReport) -> None:
        await self.report("beat", vitals=vitals.to_json())

    async def turn(self, turn: Turn, number: int) -> None:
        """Hand over a turn; the same `number` again is the same turn again."""
        facts = {"launch": self._launch, "number": number, "user": turn.user, "assistant": turn.assistant}
        async with self._session.post("/turn", json=facts):
            return

    async def remember(self, fact: str) -> str:
        """Answer why the fact could not be written into memory, or nothing when it was."""
        limit = aiohttp.ClientTimeout(total=REMEMBER_SECONDS)
        async with self._session.post("/remember", json={"fact": fact}, timeout=limit) as answer:
            return str((await answer.json())["fault"])

    async def departure(self) -> Dismissal:
        """Return when the supervisor wants this job out of its room; raise when the supervisor is gone."""
        query = {"launch": str(self._launch)}
        async with self._session.get("/leave", params=query, timeout=aiohttp.ClientTimeout()) as answer:
            raw = await answer.json()
        return Dismissal.RESET if raw.get(Dismissal.RESET.value) else Dismissal.LEAVE


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
