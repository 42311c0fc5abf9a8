"""The job process's client for the supervisor's unix socket."""

import http.client
import json
import socket
from typing import Any, Final

import aiohttp

from voicesession_agent.health.diagnosis import HealthReport
from voicesession_agent.memory.backend import Remark, Turn
from voicesession_agent.protocol import Dismissal, JobFacts

CALL_SECONDS: Final = 2.0
"""The supervisor answers within milliseconds; a supervisor that hangs must not silence the agent."""
EDIT_SECONDS: Final = 6.0
"""Slightly longer than the supervisor's own limit for a write to memory."""


class MemoryFaultError(Exception):
    """Memory refuses the request or cannot answer; the message is for a language model."""


class SupervisorClient:
    """One connection pool of a running job; close it when the job ends.

    `launch` is the number of the job within its pod. Unless stated otherwise, every method raises
    aiohttp.ClientError or TimeoutError when the supervisor does not answer within `call_seconds`.
    """

    def __init__(self, socket_path: str, launch: int, *, call_seconds: float = CALL_SECONDS) -> None:
        self._launch = launch
        self._session = aiohttp.ClientSession(
            base_url="http://supervisor",
            connector=aiohttp.UnixConnector(socket_path),
            timeout=aiohttp.ClientTimeout(total=call_seconds),
            raise_for_status=True,
        )

    async def close(self) -> None:
        """Close the connection pool; never raises."""
        await self._session.close()

    async def job_facts(self) -> JobFacts:
        """Return greeted humans, memory blocks and limits."""
        async with self._session.get("/job") as answer:
            return JobFacts.from_json(await answer.json())

    async def report(self, kind: str, **facts: Any) -> None:
        """Send one report."""
        async with self._session.post("/report", json={"kind": kind, "launch": self._launch, **facts}):
            return

    async def send_heartbeat(self, report: HealthReport) -> None:
        """Send a heartbeat that carries the health report."""
        await self.report("beat", health=report.to_json())

    async def send_turn(self, turn: Turn, number: int) -> None:
        """Hand over a turn; the supervisor drops a second delivery of the same `number`."""
        facts = {"launch": self._launch, "number": number, "user": turn.user, "assistant": turn.assistant}
        async with self._session.post("/turn", json=facts):
            return

    async def remember(self, fact: str) -> None:
        """Write a fact into memory. Raise MemoryFaultError too."""
        await self._ask_memory("/remember", fact=fact)

    async def forget(self, fact: str, *, everything: bool) -> int:
        """Remove a fact or all facts from memory, and return their number. Raise MemoryFaultError too."""
        return int(await self._ask_memory("/forget", fact=fact, everything=everything))

    async def recall(self, words: str) -> list[Remark]:
        """Return remarks of earlier conversations, the best first. Raise MemoryFaultError too."""
        return [Remark(at, role, text) for at, role, text in await self._ask_memory("/recall", words=words)]

    async def _ask_memory(self, path: str, **request: Any) -> Any:
        limit = aiohttp.ClientTimeout(total=EDIT_SECONDS)
        async with self._session.post(path, json=request, timeout=limit) as response:
            answer = await response.json()
        if answer["fault"]:
            raise MemoryFaultError(answer["fault"])
        return answer["result"]

    async def wait_until_dismissed(self) -> Dismissal:
        """Wait without a time limit until the supervisor dismisses this job; raise when the supervisor is gone."""
        query = {"launch": str(self._launch)}
        async with self._session.get("/leave", params=query, timeout=aiohttp.ClientTimeout()) as answer:
            raw = await answer.json()
        return Dismissal.RESET if raw.get(Dismissal.RESET.value) else Dismissal.LEAVE


def report_now(socket_path: str, kind: str, **facts: Any) -> None:
    """Report from a process without an event loop. Raise OSError when the supervisor does not answer."""
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
