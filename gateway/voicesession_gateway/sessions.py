"""Where a caller gets a session: found, or made once and no more, and waited for until its agent is there."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, TerminalError
from voicesession_common.kube_client import SESSIONS, KubeClient
from voicesession_common.tracing import Tracing

from voicesession_gateway import metrics
from voicesession_gateway.admission import Create, Join, Pending, Quota, admit, choose, judge
from voicesession_gateway.errors import Kind, Refusal
from voicesession_gateway.session_record import Record, ended, lacking, not_ready
from voicesession_gateway.session_request import Wish
from voicesession_gateway.session_store import Agents, Sessions, changed

log = logging.getLogger(__name__)

ROUNDS: Final = 5
"""How often a session may end, or be another's, while somebody asks for it."""
WATCH_SECONDS: Final = 5.0
"""A healthy watch shows a new object within milliseconds."""
FORBIDDEN: Final = "Forbidden"
"""The API server's reason where the gateway's own rights are too narrow: no caller can do anything about it."""
RETRY_SECONDS: Final = 1.0
"""When to ask again after an outage."""
START_MARGIN_SECONDS: Final = 5.0
"""Beyond a session's own deadline, for the operator to say that it has passed."""


class Making:
    """A session that is being made here: others who want the same one wait for it."""

    def __init__(self, wish: Wish) -> None:
        self.pending = Pending(wish.caller, wish.user_label)
        self.done = asyncio.Event()


class Desk:
    """One namespace's sessions for all callers. `monotonic` is in seconds."""

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        agents: Agents,
        sessions: Sessions,
        quota: Quota,
        default_agent: str,
        longest_wait: float,
        monotonic: Callable[[], float],
        *,
        tracing: Tracing,
    ) -> None:
        self._kube, self._namespace = kube, namespace
        self._agents, self._sessions = agents, sessions
        self._quota, self._default_agent, self._longest_wait = quota, default_agent, longest_wait
        self._monotonic, self._tracing = monotonic, tracing
        self._making: dict[str, Making] = {}

    async def ready(self, wish: Wish) -> tuple[Record, metrics.How]:
        """The session of that wish, once it is Ready. Raises Refusal.

        One that was there before and ends meanwhile is followed by the next one.
        """
        with self._tracing.token_request() as annotations:
            for _ in range(ROUNDS):
                record, how = await self.obtain(wish, annotations)
                try:
                    return await self._wait(record), how
                except Refusal as refusal:
                    if how is metrics.How.CREATED or refusal.kind is not Kind.SESSION_ENDED:
                        raise
            raise Refusal(Kind.CONFLICT, "the session ended again and again", retry_after=RETRY_SECONDS)

    async def obtain(self, wish: Wish, annotations: Mapping[str, str] | None = None) -> tuple[Record, metrics.How]:
        """The session of that wish, whatever its state; `annotations` are for one that is made. Raises Refusal."""
        for _ in range(ROUNDS):
            step = choose(self._sessions.of(wish.caller), wish)
            if isinstance(step, Join):
                if await self._has_come_to_stay(step.record):
                    return step.record, metrics.How.JOINED
                continue
            made = await self._create(step, wish, annotations or {})
            if made is not None:
                return made, metrics.How.CREATED
        raise Refusal(Kind.CONFLICT, "the session was taken again and again", retry_after=RETRY_SECONDS)

    async def end(self, record: Record) -> None:
        """Delete it, which ends the conversation at once; nothing happens where it is gone already. Raises Refusal."""
        try:
            await self._kube.delete(SESSIONS, self._namespace, record.name, record.uid)
        except (NotFoundError, ConflictError):
            return
        except ExternalError as error:
            raise _outside(error, metrics.Call.DELETE) from error

    async def _create(self, step: Create, wish: Wish, annotations: Mapping[str, str]) -> Record | None:
        """The new session; None where somebody else's came first, which is then to be looked at."""
        going_on = self._making.get(step.name)
        if going_on:
            await going_on.done.wait()
            return None
        agent = self._agent(wish)
        # One that the watch shows already is among the caller's sessions.
        pending = (making.pending for name, making in self._making.items() if self._sessions.get(name) is None)
        admit(self._sessions.of(wish.caller), pending, wish, self._quota)
        self._making[step.name] = making = Making(wish)
        try:
            return await self._make(_manifest(step.name, agent, wish, annotations))
        finally:
            del self._making[step.name]
            making.done.set()

    async def _has_come_to_stay(self, record: Record) -> bool:
        """False for one that was just made, here or by another replica, and that is going to be deleted again."""
        going_on = self._making.get(record.name)
        if going_on:
            await going_on.done.wait()
            return False
        if record.is_ready:
            return True
        with self._sessions.changes(record.name) as event:
            try:
                judge(self._sessions.of(record.caller), record, self._quota)
            except Refusal:
                await changed(event, WATCH_SECONDS)
                return False
        return True

    def _agent(self, wish: Wish) -> str:
        name = wish.agent or self._default_agent
        if not name:
            raise Refusal(Kind.AGENT_REQUIRED, "name an agent: room_config.agents[0].agent_name, or agent")
        if self._agents.get(name) is None:
            raise Refusal(Kind.UNKNOWN_AGENT, f"there is no VoiceAgent {name!r}")
        return name

    async def _make(self, manifest: dict[str, Any]) -> Record | None:
        name = manifest["metadata"]["name"]
        with self._sessions.changes(name) as event:
            try:
                raw = await self._kube.create(SESSIONS, self._namespace, manifest)
            except ConflictError:
                await changed(event, WATCH_SECONDS)
                return None
            except ExternalError as error:
                raise _outside(error, metrics.Call.CREATE) from error
            metrics.CREATED.inc()
            made = await self._shown(Record.parse(raw), event)
        return made if await self._stays(made) else None

    async def _shown(self, made: Record, event: asyncio.Event) -> Record:
        """Wait until the watch shows it: by then it has shown all that are older. Raises Refusal.

        Then the session stays: whoever asks again joins it, or it ends because nobody came.
        """
        deadline = self._monotonic() + WATCH_SECONDS
        while True:
            found = self._sessions.get(made.name)
            if found and found.uid == made.uid:
                return found
            if not await changed(event, deadline - self._monotonic()):
                log.warning("the watch does not show a new session", extra={"session": made.name})
                raise Refusal(Kind.UNAVAILABLE, "the watch on sessions is interrupted", retry_after=RETRY_SECONDS)

    async def _stays(self, made: Record) -> bool:
        """Whether it may; else it is deleted again. Raises Refusal where it would be one too many."""
        try:
            judge(self._sessions.of(made.caller), made, self._quota)
        except Refusal as refusal:
            metrics.WITHDRAWN.inc()
            await self._withdraw(made)
            if refusal.kind is not Kind.CONFLICT:
                raise
            return False
        return True

    async def _withdraw(self, made: Record) -> None:
        """Delete it and wait until the watch shows that; should either fail, the session ends as nobody comes."""
        with self._sessions.changes(made.name) as event, suppress(Refusal):
            await self.end(made)
            while (found := self._sessions.get(made.name)) and found.uid == made.uid:
                if not await changed(event, WATCH_SECONDS):
                    return

    async def _wait(self, record: Record) -> Record:
        """The same session once it is Ready. Raises Refusal with what the operator says."""
        seconds = min(record.session.limits.start_seconds + START_MARGIN_SECONDS, self._longest_wait)
        deadline = self._monotonic() + seconds
        last: Condition | None = None
        with metrics.WAITING.track_inprogress(), self._sessions.changes(record.name) as event:
            while True:
                latest = self._sessions.get(record.name)
                if latest is None or latest.uid != record.uid:
                    raise ended(record, last)
                if not latest.is_live:
                    raise ended(latest, last)
                if latest.is_ready:
                    return latest
                last = lacking(latest) or last
                if not await changed(event, deadline - self._monotonic()):
                    return await self._as_it_is(latest, seconds)

    async def _as_it_is(self, latest: Record, seconds: float) -> Record:
        """The last word has the API server, for the watch may have been interrupted. Raises Refusal."""
        try:
            raw = await self._kube.get(SESSIONS, self._namespace, latest.name)
        except ExternalError as error:
            metrics.KUBERNETES_ERRORS.labels(metrics.Call.GET.value).inc()
            raise not_ready(latest, seconds) from error
        found = Record.parse(raw, latest.born)
        if found.uid == latest.uid and found.is_ready:
            return found
        raise not_ready(found, seconds)


def _manifest(name: str, agent: str, wish: Wish, annotations: Mapping[str, str]) -> dict[str, Any]:
    labels = {constants.CALLER_LABEL: wish.caller, constants.CONVERSATION_LABEL: wish.conversation}
    spec: dict[str, Any] = {"agentRef": {"name": agent}}
    if wish.user:
        labels[constants.USER_LABEL] = wish.user_label
        spec["user"] = wish.user
    if wish.metadata:
        spec["room"] = {"metadata": wish.metadata}
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": constants.SESSION_KIND,
        "metadata": {"name": name, "labels": labels, "annotations": dict(annotations)},
        "spec": spec,
    }


def _outside(error: ExternalError, call: metrics.Call) -> Refusal:
    metrics.KUBERNETES_ERRORS.labels(call.value).inc()
    log.warning("the API server refused", extra={"call": call.value, "reason": error.reason})
    if isinstance(error, TerminalError) and error.reason != FORBIDDEN:
        return Refusal(Kind.INVALID_SESSION, error.message, error.reason)
    return Refusal(Kind.UNAVAILABLE, "Kubernetes does not do what is asked of it", error.reason, RETRY_SECONDS)
