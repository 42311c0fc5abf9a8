"""What the watches have told so far, and whoever waits to hear more: nothing here asks the API server."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_gateway import metrics
from voicesession_gateway.session_record import Record

log = logging.getLogger(__name__)

Object = dict[str, Any]
T = TypeVar("T")


class Agents:
    """The VoiceAgents of the namespace by name."""

    def __init__(self) -> None:
        self._agents: dict[str, VoiceAgent] = {}
        self.synced = False

    def put(self, raw: Object) -> None:
        agent = _read(raw, lambda: VoiceAgent.parse(raw))
        if agent:
            self._agents[agent.name] = agent

    def drop(self, raw: Object) -> None:
        self._agents.pop(raw["metadata"]["name"], None)

    def replace(self, items: Iterable[Object]) -> None:
        """Take a full list as the truth."""
        self._agents = {}
        for raw in items:
            self.put(raw)
        self.synced = True

    def get(self, name: str) -> VoiceAgent | None:
        return self._agents.get(name)

    def all(self) -> list[VoiceAgent]:
        return [self._agents[name] for name in sorted(self._agents)]

    def spec(self, name: str) -> Object | None:
        """What sessions of that agent inherit."""
        found = self._agents.get(name)
        return found.spec if found else None


class Sessions:
    """The sessions that gateways made, by name and by caller; `agent_spec` gives what a session inherits."""

    def __init__(self, agent_spec: Callable[[str], Object | None]) -> None:
        self._agent_spec = agent_spec
        self._records: dict[str, Record] = {}
        self._by_caller: defaultdict[str, set[str]] = defaultdict(set)
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.synced = False

    def get(self, name: str) -> Record | None:
        return self._records.get(name)

    def of(self, caller: str) -> list[Record]:
        """The caller's sessions, the oldest first."""
        return sorted((self._records[n] for n in self._by_caller.get(caller, ())), key=lambda record: record.born)

    def put(self, raw: Object) -> None:
        """Take in what a watch or a list shows."""
        name, known = raw["metadata"]["name"], self._records.get(raw["metadata"]["name"])
        born = known.born if known and known.uid == raw["metadata"]["uid"] else 0
        record = _read(raw, lambda: Record.parse(raw, born, self._agent_spec(raw["spec"]["agentRef"]["name"])))
        if record is None:
            return
        if known:
            self._forget(known)
        self._records[name] = record
        self._by_caller[record.caller].add(name)
        self._tell(name)

    def drop(self, raw: Object) -> None:
        known = self._records.get(raw["metadata"]["name"])
        if known and known.uid == raw["metadata"]["uid"]:
            self._forget(known)
            self._tell(known.name)

    def replace(self, items: Iterable[Object]) -> None:
        """Take a full list as the truth."""
        found = list(items)
        left = {raw["metadata"]["name"] for raw in found}
        for record in [r for name, r in self._records.items() if name not in left]:
            self._forget(record)
            self._tell(record.name)
        for raw in found:
            self.put(raw)
        self.synced = True

    @contextmanager
    def changes(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the session of that name changes; its user clears it."""
        event = asyncio.Event()
        self._listeners[name].add(event)
        try:
            yield event
        finally:
            self._listeners[name].discard(event)
            if not self._listeners[name]:
                del self._listeners[name]

    def wake_all(self) -> None:
        """Let everybody look again, although nothing has changed."""
        for name in list(self._listeners):
            self._tell(name)

    def count(self) -> None:
        """Bring the gauge up to date."""
        metrics.LIVE.set(sum(record.is_live for record in self._records.values()))

    def _forget(self, record: Record) -> None:
        del self._records[record.name]
        self._by_caller[record.caller].discard(record.name)
        if not self._by_caller[record.caller]:
            del self._by_caller[record.caller]

    def _tell(self, name: str) -> None:
        for event in self._listeners.get(name, ()):
            event.set()


def _read(raw: Object, parse: Callable[[], T]) -> T | None:
    """None for an object that is not as its schema says, as one from before a change of it may be; all others go on."""
    try:
        return parse()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        told = {"object": raw["metadata"]["name"], "error": type(error).__name__}
        log.error("an object is not as its schema says, and passed over", extra=told)
        return None


async def changed(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event and clear it; False when the time was up first."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
