"""Letta: find, create and delete the agents with the memories of VoiceAgents and users."""

import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339
from voicesession_common.api.voiceagent import LettaMemorySpec, VoiceAgent

from voicesession_operator import metrics
from voicesession_operator.domain.agent_plan import Failed, Invalid, Memory, NotConfigured, Resolved, Unavailable
from voicesession_operator.domain.memory import USE_RECORD_SECONDS, Deleted, MemoryTags, UserAgent, UserAgentPage

if TYPE_CHECKING:
    from letta_client import APIStatusError, AsyncLetta
    from letta_client.types import AgentState

Answer = TypeVar("Answer")

CONNECT_SECONDS: Final = 0.5
TOTAL_SECONDS: Final = 5.0
"""Letta needs 0.2 to 1 s to create an agent, and 10 to 100 ms for other requests."""
_UNAUTHORIZED, _TEMPORARY, _SERVER_ERROR = (401, 403), (408, 409, 429), 500
_REFUSED_IN_NAMES: Final = re.compile(r"[^\w '-]")
"""Characters that Letta 0.16 refuses in an agent's name."""
EXISTING, AGENT, USER = "existing_agent", "find_agent", "find_user"
FORGET, LIST, MARK, EXPIRE = "forget_user", "list_users", "mark_user", "expire_user"
"""Values of the metric's label `call`."""
PAGE: Final = 50
"""Letta agents in one list."""
USED_AT, RETENTION_DAYS = "voicesession.dev/used-at", "voicesession.dev/retention-days"
"""Metadata of the Letta agents of users. Letta's own times do not change when a turn or a fact is stored."""
ID_CHARACTERS: Final = 64
"""Longest ID that the CRDs accept; Letta's have 42 characters."""
NAME_CHARACTERS: Final = 200
"""Names are for display only; agents are found by their tag."""


class LettaDirectory:
    """Finds memories in Letta. An empty `url` means an installation without Letta.

    The client library is imported at the first request. Unless `allow_untagged` is true, a Letta agent that no operator
    has made needs the tag of the namespace. `clock` returns Unix seconds.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        model: str,
        embedding: str,
        installation_id: str,
        *,
        allow_untagged: bool = False,
        clock: Callable[[], float] = time.time,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._url = url
        self._api_key = api_key
        self._model = model
        self._embedding = embedding
        self._tags = MemoryTags(installation_id)
        self._allow_untagged = allow_untagged
        self._clock = clock
        self._connect_seconds, self._total_seconds = connect_seconds, total_seconds
        self._client: AsyncLetta | None = None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def resolve(self, agent: VoiceAgent) -> Memory:
        """Return the Letta agent with the given ID, name or tag; create it if missing. Never raise."""
        memory = agent.letta
        if memory is None:
            return NotConfigured()
        if memory.agent_id:
            return await self._timed_call(EXISTING, lambda letta: self._existing(letta, agent, memory.agent_id))
        if memory.agent:
            return await self._timed_call(AGENT, lambda letta: self._find_named(letta, agent, memory))
        return await self._timed_call(AGENT, lambda letta: self._find_tagged(letta, agent, memory))

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory:
        """Return the Letta agent of a user of this VoiceAgent, by tag; create it if missing. Never raise."""
        memory = agent.letta
        if memory is None:
            return NotConfigured()
        return await self._timed_call(USER, lambda letta: self._find_user(letta, agent, memory, user))

    async def forget_user(self, agent: VoiceAgent, user: str) -> Deleted | Failed:
        """Delete every Letta agent of a user of this VoiceAgent, with its blocks. Never raise."""
        tag = self._tags.user(agent.namespace, agent.name, user)
        return await self._timed_call(FORGET, lambda letta: _delete_tagged(letta, tag))

    async def user_agents(self, after: str) -> UserAgentPage | Failed:
        """Return the users' Letta agents that follow the agent with the ID `after`; empty for the first page."""
        return await self._timed_call(LIST, lambda letta: self._list_users(letta, after))

    async def mark(self, found: UserAgent, used_at: float, retention_days: int) -> Deleted | Failed:
        """Record the last use and the retention in the Letta agent of a user. Return that nothing was deleted."""
        return await self._timed_call(MARK, lambda letta: self._mark(letta, found.agent_id, used_at, retention_days))

    async def expire(self, found: UserAgent) -> Deleted | Failed:
        """Delete the Letta agent of a user, unless it was used since it was listed. Never raise."""
        return await self._timed_call(EXPIRE, lambda letta: self._expire(letta, found))

    async def _timed_call(self, call: str, request: Callable[["AsyncLetta"], Awaitable[Answer]]) -> Answer | Failed:
        if not self._url:
            return NotConfigured()
        started = time.monotonic()
        answer = await self._call(request)
        outcome = type(answer).__name__.lower()
        metrics.LETTA_REQUEST_SECONDS.labels(call, outcome).observe(time.monotonic() - started)
        return answer

    async def _call(self, request: Callable[["AsyncLetta"], Awaitable[Answer]]) -> Answer | Failed:
        from letta_client import APIConnectionError, APIError, APIStatusError  # noqa: PLC0415 - most installations have no Letta

        try:
            return await request(self._connection())
        except APIStatusError as error:
            return _classify(error)
        except APIConnectionError:
            return Unavailable("Letta does not answer")
        except (APIError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Unavailable("Letta's answer cannot be read")
        except Exception as error:
            return Unavailable(f"the request to Letta failed: {type(error).__name__}")

    async def _existing(self, letta: "AsyncLetta", agent: VoiceAgent, agent_id: str) -> Memory:
        from letta_client import NotFoundError  # noqa: PLC0415 - see LettaDirectory

        try:
            found = await letta.agents.retrieve(agent_id, include=["agent.tags"])
        except NotFoundError:
            return Invalid(f'Letta has no agent with the ID "{agent_id}"')
        return _resolved(found.id) if self._may_use(agent, found) else self._refused(agent)

    async def _find_tagged(self, letta: "AsyncLetta", agent: VoiceAgent, memory: LettaMemorySpec) -> Memory:
        tag = self._tags.agent(agent.namespace, agent.name)
        # The oldest one: a lost answer may have led to two.
        found = await letta.agents.list(tags=[tag], limit=1, order="asc")
        if found.items:
            return _resolved(found.items[0].id)
        return await self._create(letta, memory, f"{agent.namespace}-{agent.name}", self._own_tags(agent))

    async def _find_named(self, letta: "AsyncLetta", agent: VoiceAgent, memory: LettaMemorySpec) -> Memory:
        """Return the Letta agent with the name that this namespace may use; agents of other namespaces do not count."""
        found = await letta.agents.list(name=memory.agent, tags=self._own_tags(agent), limit=1, order="asc")
        if found.items:
            return _resolved(found.items[0].id)
        others = await letta.agents.list(name=memory.agent, limit=PAGE, order="asc", include=["agent.tags"])
        for other in others.items:
            if self._may_use(agent, other):
                return _resolved(other.id)
        if not all(self._tags.is_tagged(other.tags or ()) for other in others.items):
            return self._refused(agent)
        return await self._create(letta, memory, memory.agent, self._own_tags(agent))

    async def _find_user(self, letta: "AsyncLetta", agent: VoiceAgent, memory: LettaMemorySpec, user: str) -> Memory:
        tag, now = self._tags.user(agent.namespace, agent.name, user), self._clock()
        found = await letta.agents.list(tags=[tag], limit=1, order="asc", include=["agent.tags"])
        if not found.items:
            name, tags = f"{agent.namespace}-{agent.name}-{user}", [tag, self._tags.users]
            return await self._create(letta, memory, name, tags, metadata=_usage(now, memory.retention_days))
        answer = _resolved(found.items[0].id)
        used_at = _used_at(found.items[0])
        if used_at is None or self._tags.users not in (found.items[0].tags or ()) or now - used_at > USE_RECORD_SECONDS:
            # A failure only has a metric: the next lookup, minutes later, records the use.
            await self.mark(self._user_agent(found.items[0]), now, memory.retention_days)
        return answer

    async def _list_users(self, letta: "AsyncLetta", after: str) -> UserAgentPage:
        cursor: dict[str, Any] = {"after": after} if after else {}
        tags = [self._tags.users]
        found = await letta.agents.list(tags=tags, limit=PAGE, order="asc", include=["agent.tags"], **cursor)
        return UserAgentPage(tuple(map(self._user_agent, found.items)), is_last=len(found.items) < PAGE)

    def _user_agent(self, found: "AgentState") -> UserAgent:
        stored = (found.metadata or {}).get(RETENTION_DAYS)
        days = stored if isinstance(stored, int) else 0
        return UserAgent(found.id, self._tags.read_user(found.tags or ()), _used_at(found), days)

    async def _mark(self, letta: "AsyncLetta", agent_id: str, used_at: float, retention_days: int) -> Deleted:
        """Add the record to the tags and metadata, which Letta only replaces as a whole."""
        found = await letta.agents.retrieve(agent_id, include=["agent.tags"])
        tags = sorted({*(found.tags or ()), self._tags.users})
        metadata = {**(found.metadata or {}), **_usage(used_at, retention_days)}
        await letta.agents.update(agent_id, tags=tags, metadata=metadata)
        return Deleted(0)

    async def _expire(self, letta: "AsyncLetta", listed: UserAgent) -> Deleted:
        from letta_client import NotFoundError  # noqa: PLC0415 - see LettaDirectory

        with suppress(NotFoundError):
            found = await letta.agents.retrieve(listed.agent_id, include=["agent.tags", "agent.blocks"])
            if self._user_agent(found) == listed:
                await _delete(letta, found)
                return Deleted(1)
        return Deleted(0)

    def _own_tags(self, agent: VoiceAgent) -> list[str]:
        return [self._tags.agent(agent.namespace, agent.name), self._tags.namespace(agent.namespace)]

    def _may_use(self, agent: VoiceAgent, found: "AgentState") -> bool:
        return self._tags.may_use(agent.namespace, found.tags or (), untagged=self._allow_untagged)

    def _refused(self, agent: VoiceAgent) -> Invalid:
        help_text = f'to use it here, give it the tag "{self._tags.namespace(agent.namespace)}"'
        return Invalid(f"the Letta agent does not belong to this namespace; {help_text}")

    async def _create(
        self, letta: "AsyncLetta", memory: LettaMemorySpec, name: str, tags: list[str], **settings: Any
    ) -> Memory:
        if not self._model:
            return Invalid("no such Letta agent exists, and none can be created because LETTA_MODEL is not set")
        if self._embedding:
            settings["embedding"] = self._embedding
        created = await letta.agents.create(
            name=_REFUSED_IN_NAMES.sub("-", name)[:NAME_CHARACTERS],
            model=self._model,
            memory_blocks=[_block(block) for block in memory.blocks or ({"label": memory.remember_block},)],
            tags=tags,
            **settings,
        )
        return _resolved(created.id)

    def _connection(self) -> "AsyncLetta":
        if self._client is None:
            import httpx  # noqa: PLC0415 - comes with the client library
            from letta_client import AsyncLetta  # noqa: PLC0415

            self._client = AsyncLetta(
                base_url=self._url,
                api_key=self._api_key or "unused",  # a server without a password accepts any key
                timeout=httpx.Timeout(self._total_seconds, connect=self._connect_seconds),
                max_retries=0,
            )
        return self._client


async def _delete_tagged(letta: "AsyncLetta", tag: str) -> Deleted:
    """Delete the Letta agents with the tag; there are several after a lost answer to a creation."""
    for removed in range(PAGE):
        found = await letta.agents.list(tags=[tag], limit=1, order="asc", include=["agent.tags", "agent.blocks"])
        if not found.items:
            return Deleted(removed)
        if tag not in (found.items[0].tags or ()):
            raise ValueError("not the requested agents")
        await _delete(letta, found.items[0])
    return Deleted(PAGE)


async def _delete(letta: "AsyncLetta", found: "AgentState") -> None:
    """Delete a Letta agent and its blocks: Letta itself keeps the blocks of a deleted agent.

    The agent is last, so that an interrupted deletion is found again. Blocks that another agent shares stay.
    """
    for block in filter(None, (block.id for block in found.blocks or ())):
        owners = await letta.blocks.agents.list(block, limit=2)
        if {owner.id for owner in owners.items} <= {found.id}:
            await letta.blocks.delete(block)
    await letta.agents.delete(found.id)


def _usage(used_at: float, retention_days: int) -> dict[str, object]:
    return {USED_AT: to_rfc3339(used_at), RETENTION_DAYS: retention_days}


def _used_at(found: "AgentState") -> float | None:
    text = (found.metadata or {}).get(USED_AT)
    with suppress(ValueError):
        return from_rfc3339(text) if isinstance(text, str) else None
    return None


def _resolved(agent_id: object) -> Resolved:
    """Return the memory with this ID. Raise ValueError for one that no status can hold."""
    if not isinstance(agent_id, str) or not 0 < len(agent_id) <= ID_CHARACTERS:
        raise ValueError("not an ID of Letta")
    return Resolved(agent_id)


def _block(raw: dict[str, Any]) -> Any:
    return {name: raw[name] for name in ("label", "description", "value", "limit") if name in raw} | {
        "value": raw.get("value", "")
    }


def _classify(error: "APIStatusError") -> Unavailable | Invalid:
    status = error.status_code
    if status in _UNAUTHORIZED:
        return Unavailable("Letta refuses the operator's API key")
    if status >= _SERVER_ERROR or status in _TEMPORARY:
        return Unavailable(f"Letta answers {status}")
    return Invalid(f"Letta refuses the agent: it answers {status}")
