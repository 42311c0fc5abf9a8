"""One waiting question to each agent pod that serves: its answer is a hint, like a webhook, and only a reason to look.

It tells of people who come and go within milliseconds where webhooks are lost or late.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from voicesession_common.errors import RetryableError, TerminalError

from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.ports import Control
from voicesession_operator.domain.observed import AgentPod

RETRY_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.02
"""Between an answer and the next question: what changes meanwhile is told at once then, and a pod cannot flood us."""


class PodNews:
    """`enqueue` gets the session whose pod has another state than before. Listens while `run` runs."""

    def __init__(self, control: Control, enqueue: Callable[[Key], None]) -> None:
        self._control = control
        self._enqueue = enqueue
        self._group: asyncio.TaskGroup | None = None
        self._listeners: dict[Key, dict[str, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Own the listeners until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None:
        """From now on listen to these pods of that session, and to no other ones."""
        wanted = {pod.uid: pod for pod in pods}
        known = self._listeners.pop(key, {})
        for uid in known.keys() - wanted.keys():
            known.pop(uid).cancel()
        if self._group is not None:
            for uid in wanted.keys() - known.keys():
                known[uid] = self._group.create_task(self._listen(key, wanted[uid]))
        if known:
            self._listeners[key] = known

    async def _listen(self, key: Key, pod: AgentPod) -> None:
        tag = ""
        while True:
            try:
                told = await self._control.next_tag(pod.ip, pod.uid, tag)
            except RetryableError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except TerminalError:
                return
            if told != tag:
                tag = told
                self._enqueue(key)
            await asyncio.sleep(PAUSE_SECONDS)
