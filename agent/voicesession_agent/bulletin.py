"""What the operator acts on of the pod's state, under a tag that changes exactly when it does; and waiting for that."""

import asyncio
import hashlib
from contextlib import suppress
from typing import Final

from voicesession_agent.state import PodState

LOOK_SECONDS: Final = 0.5
"""What changes and is published by nobody, such as a pod that gives up, is found by looking this often."""


class Bulletin:
    """`published` wakes everybody who waits for a change."""

    def __init__(self, state: PodState) -> None:
        self._state = state
        self._news = asyncio.Event()

    def tag(self) -> str:
        """A strong entity tag (RFC 9110). Speech, memory and measurements change too often, and move nobody."""
        state = self._state
        job = (state.job, state.job_epoch, state.participant_sid, state.diagnosis, state.trouble)
        facts = (state.phase, state.bound_at, state.wanted_epoch, job, state.humans, state.last_human_left)
        return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"'

    def published(self) -> None:
        self._news.set()
        self._news.clear()

    async def other_than(self, tag: str, seconds: float) -> str:
        """The tag of now, as soon as it is another one, and after so many seconds in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.tag() == tag:
                    await self._look_later()
        return self.tag()

    async def _look_later(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._news.wait()
