"""A conversation as the supervisor gets it: turns for memory, and history for the next job; and echoes in it."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from typing import Final

import aiohttp

from voicesession_agent.job.supervisor_client import SupervisorClient
from voicesession_agent.memory.backend import Turn
from voicesession_agent.protocol import SPEAKERS, Message, newest

TRIES: Final = 2
ECHOES: Final = 3
"""Echoes in a row, the last of which stays unanswered: a human may repeat the agent's words once or twice."""
ECHO_SECONDS: Final = 30.0
"""Longest time from the beginning of the agent's message to its echo's recognition."""
ECHO_WORDS: Final = 3
ECHO_LIKENESS: Final = 0.8
"""Share of equal words in an echo, which a recognizer mishears."""
log = logging.getLogger(__name__)


class HistoryRecorder:
    """Sends the newest messages to the supervisor, for a job that continues this conversation.

    `known` are those that this job itself continues, and `report` queues a report.
    """

    def __init__(self, report: Callable[..., None], known: Sequence[Message]) -> None:
        self._report = report
        self._messages = tuple(known)

    def add(self, role: str, text: str) -> None:
        """Take a message; roles other than `user` and `assistant` are ignored."""
        if role in SPEAKERS and text:
            self._messages = newest((*self._messages, Message(role, text)))
            self._report("history", messages=[message.to_json() for message in self._messages])


class TurnPairing:
    """Pairs messages into turns.

    Memory stores turns by their human part, so an agent's message without a human's message before it is no turn.
    """

    def __init__(self) -> None:
        self._said: list[str] = []

    def add(self, role: str, text: str) -> Turn | None:
        """Take a message; return the turn that it finishes, if any."""
        if role == "user" and text:
            self._said.append(text)
        if role != "assistant" or not self._said:
            return None
        return self._finish(text)

    def rest(self) -> Turn | None:
        """Return the turn of the messages that were never answered, if any."""
        return self._finish("") if self._said else None

    def _finish(self, answer: str) -> Turn:
        turn = Turn(user=" ".join(self._said), assistant=answer)
        self._said = []
        return turn


class EchoDetector:
    """Finds that the agent hears itself, as through a speakerphone, and would answer its own words for ever.

    An echo begins with the agent's first word. A human's own sentence, repeated and quoted in each answer, is none.
    """

    def __init__(self) -> None:
        self._echoes = 0

    def is_loop(self, heard: str, said: str, seconds: float) -> bool:
        """Take a human's turn; return whether it is at least the third echo in a row.

        `said` is the agent's last message, and `seconds` the time since its beginning.
        """
        self._echoes = self._echoes + 1 if seconds <= ECHO_SECONDS and _is_echo(_words(heard), _words(said)) else 0
        return self._echoes >= ECHOES


def _is_echo(heard: list[str], said: list[str]) -> bool:
    if len(heard) < ECHO_WORDS or heard[:1] != said[:1]:
        return False
    return SequenceMatcher(None, heard, said, autojunk=False).ratio() >= ECHO_LIKENESS


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class TurnRecorder:
    """Sends finished turns from a single task, which keeps the order of the conversation.

    `on_lost` is called for each turn that the supervisor did not take, including one cut short by the job's end.
    """

    def __init__(self, client: SupervisorClient, on_lost: Callable[[], None]) -> None:
        self._client = client
        self._on_lost = on_lost
        self._pairing = TurnPairing()
        self._queue: asyncio.Queue[Turn | None] = asyncio.Queue()
        self._sender = asyncio.create_task(self._send_turns())

    def add(self, role: str, text: str) -> None:
        """Take a message; roles other than `user` and `assistant` are ignored."""
        turn = self._pairing.add(role, text)
        if turn is not None:
            self._queue.put_nowait(turn)

    async def close(self) -> None:
        """Send the remaining turns and stop."""
        rest = self._pairing.rest()
        if rest is not None:
            self._queue.put_nowait(rest)
        self._queue.put_nowait(None)
        await self._sender

    async def _send_turns(self) -> None:
        number = 0
        while (turn := await self._queue.get()) is not None:
            number += 1
            sent = False
            try:
                sent = await self._send(turn, number)
            finally:
                if not sent:
                    log.warning("a turn was lost", extra={"event": "turn_lost"})
                    self._on_lost()

    async def _send(self, turn: Turn, number: int) -> bool:
        for _ in range(TRIES):
            with suppress(aiohttp.ClientError, TimeoutError):
                await self._client.send_turn(turn, number)
                return True
        return False
