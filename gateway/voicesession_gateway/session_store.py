"""Stores that the informers fill, and events for coroutines that wait for a change. Nothing here sends a request."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from voicesession_common import JsonObject
from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_gateway import metrics
from voicesession_gateway.session_record import SessionRecord

log = logging.getLogger(__name__)

T = TypeVar("T")


class AgentStore:
    """VoiceAgents of the namespace by name."""

    def __init__(self) -> None:
        self._agents: dict[str, VoiceAgent] = {}
        self.synced = False

    def put(self, raw: JsonObject) -> None:
        """Add or replace one VoiceAgent."""
        agent = _parse_or_none(raw, lambda: VoiceAgent.parse(raw))
        if agent:
            self._agents[agent.name] = agent

    def drop(self, raw: JsonObject) -> None:
        """Remove a deleted VoiceAgent."""
        self._agents.pop(raw["metadata"]["name"], None)

    def replace(self, items: Iterable[JsonObject]) -> None:
        """Replace the contents with a full list."""
        self._agents = {}
        for raw in items:
            self.put(raw)
        self.synced = True

    def get(self, name: str) -> VoiceAgent | None:
        return self._agents.get(name)

    def all(self) -> list[VoiceAgent]:
        return [self._agents[name] for name in sorted(self._agents)]

    def spec(self, name: str) -> JsonObject | None:
        """Return the spec from which sessions of that agent inherit defaults."""
        found = self._agents.get(name)
        return found.spec if found else None


class SessionStore:
    """Sessions created by gateways, by name and by caller. `agent_spec` returns the spec that a session inherits."""

    def __init__(self, agent_spec: Callable[[str], JsonObject | None]) -> None:
        self._agent_spec = agent_spec
        self._records: dict[str, SessionRecord] = {}
        self._by_caller: defaultdict[str, set[str]] = defaultdict(set)
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.synced = False

    def get(self, name: str) -> SessionRecord | None:
        return self._records.get(name)

    def of_caller(self, caller: str) -> list[SessionRecord]:
        """Return the caller's sessions, the oldest first."""
        records = (self._records[name] for name in self._by_caller.get(caller, ()))
        return sorted(records, key=lambda record: record.created_version)

    def put(self, raw: JsonObject) -> None:
        """Add or replace one session and notify its waiters."""
        name, known = raw["metadata"]["name"], self._records.get(raw["metadata"]["name"])
        created_version = known.created_version if known and known.uid == raw["metadata"]["uid"] else 0
        record = _parse_or_none(raw, lambda: self._parse(raw, created_version))
        if record is None:
            return
        if known:
            self._forget(known)
        self._records[name] = record
        self._by_caller[record.caller].add(name)
        self._notify(name)

    def drop(self, raw: JsonObject) -> None:
        """Remove a deleted session and notify its waiters."""
        known = self._records.get(raw["metadata"]["name"])
        if known and known.uid == raw["metadata"]["uid"]:
            self._forget(known)
            self._notify(known.name)

    def replace(self, items: Iterable[JsonObject]) -> None:
        """Replace the contents with a full list."""
        found = list(items)
        left = {raw["metadata"]["name"] for raw in found}
        for record in [r for name, r in self._records.items() if name not in left]:
            self._forget(record)
            self._notify(record.name)
        for raw in found:
            self.put(raw)
        self.synced = True

    @contextmanager
    def changes(self, name: str) -> Iterator[asyncio.Event]:
        """Return an event that is set at each change of the session with this name; the caller clears it."""
        event = asyncio.Event()
        self._listeners[name].add(event)
        try:
            yield event
        finally:
            self._listeners[name].discard(event)
            if not self._listeners[name]:
                del self._listeners[name]

    def wake_all(self) -> None:
        """Set the events of all waiters, without a change."""
        for name in list(self._listeners):
            self._notify(name)

    def update_gauge(self) -> None:
        """Update the gauge of live sessions."""
        metrics.LIVE.set(sum(record.is_live for record in self._records.values()))

    def _parse(self, raw: JsonObject, created_version: int) -> SessionRecord:
        return SessionRecord.parse(raw, created_version, self._agent_spec(raw["spec"]["agentRef"]["name"]))

    def _forget(self, record: SessionRecord) -> None:
        del self._records[record.name]
        self._by_caller[record.caller].discard(record.name)
        if not self._by_caller[record.caller]:
            del self._by_caller[record.caller]

    def _notify(self, name: str) -> None:
        for event in self._listeners.get(name, ()):
            event.set()


def _parse_or_none(raw: JsonObject, parse: Callable[[], T]) -> T | None:
    """Parse the object. Return None if it does not match the schema, so that one bad object does not stop the watch.

    An older version of the schema may have accepted it.
    """
    try:
        return parse()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fields = {"object": raw["metadata"]["name"], "error": type(error).__name__}
        log.error("object does not match its schema; ignored", extra=fields)
        return None


async def wait_for_change(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event and clear it. Return False if the time ran out first."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
