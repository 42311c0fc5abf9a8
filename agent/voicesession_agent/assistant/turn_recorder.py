"""Pairing what the human said with what the agent spoke, and handing each finished turn to the supervisor in order."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiohttp

from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.memory.backend import Turn

TRIES: Final = 2
log = logging.getLogger(__name__)


class TurnPairing:
    """Pure: messages in, finished turns out. Memory keeps turns by their human part, so an unasked remark is none."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def add(self, role: str, text: str) -> Turn | None:
        """Answer the turn that this message finishes, if any."""
        if role == "user" and text:
            self._said.append(text)
        if role != "assistant" or not self._said:
            return None
        return self._finish(text)

    def rest(self) -> Turn | None:
        """What was said last and never answered."""
        return self._finish("") if self._said else None

    def _finish(self, spoken: str) -> Turn:
        turn = Turn(user=" ".join(self._said), assistant=spoken)
        self._said = []
        return turn


class TurnRecorder:
    """Sends finished turns from one task, so that their order is the conversation's.

    `lost` hears of each that the supervisor did not take, also of one that the job's end cuts short.
    """

    def __init__(self, link: SupervisorClient, lost: Callable[[], None]) -> None:
        self._link = link
        self._lost = lost
        self._pairing = TurnPairing()
        self._queue: asyncio.Queue[Turn | None] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send())

    def add(self, role: str, text: str) -> None:
        turn = self._pairing.add(role, text)
        if turn is not None:
            self._queue.put_nowait(turn)

    async def close(self) -> None:
        """Hand over what is left."""
        rest = self._pairing.rest()
        if rest is not None:
            self._queue.put_nowait(rest)
        self._queue.put_nowait(None)
        await self._sender

    async def _send(self) -> None:
        number = 0
        while (turn := await self._queue.get()) is not None:
            number += 1
            handed_over = False
            try:
                handed_over = await self._handed_over(turn, number)
            finally:
                if not handed_over:
                    log.warning("a turn was lost", extra={"event": "turn_lost"})
                    self._lost()

    async def _handed_over(self, turn: Turn, number: int) -> bool:
        for _ in range(TRIES):
            with suppress(aiohttp.ClientError, TimeoutError):
                await self._link.turn(turn, number)
                return True
        return False
