"""A long poll to each serving agent pod. An answer is only a trigger for a reconcile, like a webhook.

It reports participants that join or leave within milliseconds where webhooks are lost or late.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from voicesession_common.errors import RetryableError, TerminalError

from voicesession_operator.controller.cache import Key
from voicesession_operator.controller.ports import AgentPods
from voicesession_operator.domain.observed import AgentPod

RETRY_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.02
"""Pause between polls of one pod, so that a pod cannot flood the operator.

A change during the pause is reported at the start of the next poll.
"""


class PodWatcher:
    """Polls pods while `run` runs. `enqueue` receives the session of a pod that changed its state."""

    def __init__(
        self,
        pods: AgentPods,
        enqueue: Callable[[Key], None],
        retry_seconds: float = RETRY_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._pods = pods
        self._enqueue = enqueue
        self._retry_seconds = retry_seconds
        self._pause_seconds = pause_seconds
        self._group: asyncio.TaskGroup | None = None
        self._polls: dict[Key, dict[str, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Own the polls until canceled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def follow(self, key: Key, pods: Iterable[AgentPod]) -> None:
        """Poll exactly these pods of the session from now on."""
        desired = {pod.uid: pod for pod in pods}
        polls = self._polls.pop(key, {})
        for uid in polls.keys() - desired.keys():
            polls.pop(uid).cancel()
        if self._group is not None:
            for uid in desired.keys() - polls.keys():
                polls[uid] = self._group.create_task(self._poll(key, desired[uid]))
        if polls:
            self._polls[key] = polls

    async def _poll(self, key: Key, pod: AgentPod) -> None:
        known = ""
        while True:
            try:
                tag = await self._pods.wait_for_change(pod.ip, pod.uid, known)
            except RetryableError:
                await asyncio.sleep(self._retry_seconds)
                continue
            except TerminalError:
                return
            if tag != known:
                known = tag
                self._enqueue(key)
            await asyncio.sleep(self._pause_seconds)
