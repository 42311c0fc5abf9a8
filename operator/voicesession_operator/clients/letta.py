"""Letta: find the agent with the memory of a VoiceAgent or a user, or create it from the VoiceAgent's blocks."""

import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from voicesession_common.api.voiceagent import LettaMemorySpec, VoiceAgent

from voicesession_operator import metrics
from voicesession_operator.domain.agent_plan import Invalid, Memory, NotConfigured, Resolved, Unavailable

if TYPE_CHECKING:
    from letta_client import APIStatusError, AsyncLetta

CONNECT_SECONDS: Final = 0.5
TOTAL_SECONDS: Final = 5.0
"""Letta needs 0.2 to 1 s to create an agent, and 10 to 100 ms for other requests."""
_UNAUTHORIZED: Final = (401, 403)
_TEMPORARY: Final = (408, 409, 429)
_SERVER_ERROR: Final = 500
_REFUSED_IN_NAMES: Final = re.compile(r"[^\w '-]")
"""Characters that Letta 0.16 refuses in an agent's name."""
EXISTING, AGENT, USER = "existing_agent", "find_agent", "find_user"
"""Values of the metric's label `call`."""
ID_CHARACTERS: Final = 64
"""Longest ID that the CRDs accept; Letta's have 42 characters."""
NAME_CHARACTERS: Final = 200
"""Names are for display only; agents are found by their tag."""


class LettaDirectory:
    """Finds memories in Letta. An empty `url` means an installation without Letta.

    The client library is imported at the first request.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        model: str,
        embedding: str,
        installation_id: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._url = url
        self._api_key = api_key
        self._model = model
        self._embedding = embedding
        self._installation_id = installation_id
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
            return await self._timed_call(EXISTING, lambda letta: _existing(letta, memory.agent_id))
        tag, name = self._tag(agent), memory.agent or f"{agent.namespace}-{agent.name}"
        criteria: dict[str, Any] = {"name": memory.agent} if memory.agent else {"tags": [tag]}
        return await self._timed_call(AGENT, lambda letta: self._find_or_create(letta, memory, criteria, tag, name))

    async def resolve_user(self, agent: VoiceAgent, user: str) -> Memory:
        """Return the Letta agent of a user of this VoiceAgent, by tag; create it if missing. Never raise."""
        memory = agent.letta
        if memory is None:
            return NotConfigured()
        tag, name = f"{self._tag(agent)}/{user}", f"{agent.namespace}-{agent.name}-{user}"
        return await self._timed_call(
            USER, lambda letta: self._find_or_create(letta, memory, {"tags": [tag]}, tag, name)
        )

    def _tag(self, agent: VoiceAgent) -> str:
        """Return the tag of a VoiceAgent's memory.

        Namespaces and names contain no slash, so the text after a second slash is the user.
        """
        return f"voicesession:{self._installation_id}:{agent.namespace}/{agent.name}"

    async def _timed_call(self, call: str, request: Callable[["AsyncLetta"], Awaitable[Memory]]) -> Memory:
        if not self._url:
            return NotConfigured()
        started = time.monotonic()
        answer = await self._call(request)
        seconds = time.monotonic() - started
        metrics.LETTA_REQUEST_SECONDS.labels(call, type(answer).__name__.lower()).observe(seconds)
        return answer

    async def _call(self, request: Callable[["AsyncLetta"], Awaitable[Memory]]) -> Memory:
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

    async def _find_or_create(
        self, letta: "AsyncLetta", memory: LettaMemorySpec, criteria: dict[str, Any], tag: str, name: str
    ) -> Memory:
        # The oldest one: a lost answer may have led to two.
        found = await letta.agents.list(limit=1, order="asc", **criteria)
        if found.items:
            return _resolved(found.items[0].id)
        if not self._model:
            return Invalid("no such Letta agent exists, and none can be created because LETTA_MODEL is not set")
        settings: dict[str, Any] = {"embedding": self._embedding} if self._embedding else {}
        created = await letta.agents.create(
            name=_REFUSED_IN_NAMES.sub("-", name)[:NAME_CHARACTERS],
            model=self._model,
            memory_blocks=[_block(block) for block in memory.blocks],
            tags=[tag],
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


async def _existing(letta: "AsyncLetta", agent_id: str) -> Memory:
    from letta_client import NotFoundError  # noqa: PLC0415 - see LettaDirectory

    try:
        return _resolved((await letta.agents.retrieve(agent_id)).id)
    except NotFoundError:
        return Invalid(f'Letta has no agent with the ID "{agent_id}"')


def _resolved(agent_id: object) -> Resolved:
    """Return the memory with this ID. Raise ValueError for one that no status can hold."""
    if not isinstance(agent_id, str) or not 0 < len(agent_id) <= ID_CHARACTERS:
        raise ValueError("not an ID of Letta")
    return Resolved(agent_id)


def _block(raw: dict[str, Any]) -> Any:
    return {name: raw[name] for name in ("label", "description", "value", "limit") if name in raw} | {
        "value": raw.get("value", "")
    }


def _classify(error: "APIStatusError") -> Memory:
    status = error.status_code
    if status in _UNAUTHORIZED:
        return Unavailable("Letta refuses the operator's API key")
    if status >= _SERVER_ERROR or status in _TEMPORARY:
        return Unavailable(f"Letta answers {status}")
    return Invalid(f"Letta refuses the agent: it answers {status}")
