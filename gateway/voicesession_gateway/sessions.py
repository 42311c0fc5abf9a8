"""Sessions for callers: find or create one session per conversation, and wait until it is Ready."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from opentelemetry.trace import SpanContext
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, TerminalError
from voicesession_common.kube_client import SESSIONS, KubeClient
from voicesession_common.tracing import Tracing, write_traceparent

from voicesession_gateway import metrics
from voicesession_gateway.admission import (
    Create,
    Join,
    PendingSession,
    Quota,
    check_quota,
    match_or_name,
    recheck_quota,
)
from voicesession_gateway.errors import ApiError, ErrorCode
from voicesession_gateway.session_record import SessionRecord, blocking_condition, ended_error, not_ready_error
from voicesession_gateway.session_request import SessionRequest
from voicesession_gateway.session_store import AgentStore, SessionStore, wait_for_change

log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""Attempts per request when sessions end or names are taken at the same time."""
WATCH_SECONDS: Final = 5.0
"""Longest wait for the watch; a healthy one shows a new object within milliseconds."""
FORBIDDEN: Final = "Forbidden"
"""Reason of the API server when the gateway lacks permissions, which no caller can change."""
RETRY_SECONDS: Final = 1.0
"""Value of Retry-After during an outage."""
TOKEN_REQUEST: Final = "token request"  # noqa: S105 - a span's name
START_MARGIN_SECONDS: Final = 5.0
"""Added to the session's own start deadline, so that the operator can report that it passed."""


class SessionCreation:
    """A session that this replica is creating; concurrent requests for the same session wait for it."""

    def __init__(self, request: SessionRequest) -> None:
        self.pending = PendingSession(request.caller, request.user_label)
        self.done = asyncio.Event()


class SessionService:
    """Sessions of one namespace for all callers. `monotonic` returns seconds, `clock` returns Unix seconds.

    `watch_seconds` limits each wait for the watch to show a change of a session.
    """

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        agents: AgentStore,
        sessions: SessionStore,
        quota: Quota,
        default_agent: str,
        longest_wait: float,
        monotonic: Callable[[], float],
        *,
        clock: Callable[[], float],
        tracing: Tracing,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self._kube, self._namespace = kube, namespace
        self._agents, self._sessions = agents, sessions
        self._quota, self._default_agent, self._longest_wait = quota, default_agent, longest_wait
        self._monotonic, self._clock = monotonic, clock
        self._tracing, self._watch_seconds = tracing, watch_seconds
        self._creations: dict[str, SessionCreation] = {}

    async def wait_until_ready(self, request: SessionRequest) -> tuple[SessionRecord, metrics.SessionSource]:
        """Return the session of the request once it is Ready. Raises ApiError.

        If an existing session ends during the wait, continue with the next one.
        """
        with self._tracing.root_span(TOKEN_REQUEST) as span:
            annotations = _trace_annotations(span)
            for _ in range(ATTEMPTS):
                record, source = await self.get_or_create(request, annotations)
                try:
                    ready = await self._wait_ready(record)
                    if source is metrics.SessionSource.JOINED and not ready.session.status.humans:
                        await self._announce_human(ready)
                    return ready, source
                except ApiError as error:
                    if source is metrics.SessionSource.CREATED or error.code is not ErrorCode.SESSION_ENDED:
                        raise
            raise ApiError(ErrorCode.CONFLICT, "the session ended repeatedly", retry_after=RETRY_SECONDS)

    async def get_or_create(
        self, request: SessionRequest, annotations: Mapping[str, str] | None = None
    ) -> tuple[SessionRecord, metrics.SessionSource]:
        """Return the session of the request in any state; `annotations` go on a new one. Raises ApiError."""
        for _ in range(ATTEMPTS):
            step = match_or_name(self._sessions.of_caller(request.caller), request)
            if isinstance(step, Join):
                if await self._is_permanent(step.record):
                    return step.record, metrics.SessionSource.JOINED
                continue
            created = await self._create(step, request, annotations or {})
            if created is not None:
                return created, metrics.SessionSource.CREATED
        raise ApiError(ErrorCode.CONFLICT, "the session name was taken repeatedly", retry_after=RETRY_SECONDS)

    async def end(self, record: SessionRecord) -> None:
        """Delete the session, which ends the conversation at once. A missing session is no error. Raises ApiError."""
        try:
            await self._kube.delete(SESSIONS, self._namespace, record.name, record.uid)
        except (NotFoundError, ConflictError):
            return
        except ExternalError as error:
            raise _to_api_error(error, metrics.KubernetesCall.DELETE) from error

    async def _create(
        self, step: Create, request: SessionRequest, annotations: Mapping[str, str]
    ) -> SessionRecord | None:
        """Return the new session, or None if another request created one first."""
        running = self._creations.get(step.name)
        if running:
            await running.done.wait()
            return None
        agent = self._agent(request)
        # A creation that the watch shows already counts among the caller's sessions.
        pending = (creation.pending for name, creation in self._creations.items() if self._sessions.get(name) is None)
        check_quota(self._sessions.of_caller(request.caller), pending, request, self._quota)
        self._creations[step.name] = creation = SessionCreation(request)
        try:
            return await self._create_and_recheck(_manifest(step.name, agent, request, annotations))
        finally:
            del self._creations[step.name]
            creation.done.set()

    async def _is_permanent(self, record: SessionRecord) -> bool:
        """Return False for a new session, of any replica, that exceeds the quota and is about to be deleted."""
        running = self._creations.get(record.name)
        if running:
            await running.done.wait()
            return False
        if record.is_ready:
            return True
        with self._sessions.changes(record.name) as event:
            try:
                recheck_quota(self._sessions.of_caller(record.caller), record, self._quota)
            except ApiError:
                await wait_for_change(event, self._watch_seconds)
                return False
        return True

    def _agent(self, request: SessionRequest) -> str:
        name = request.agent or self._default_agent
        if not name:
            raise ApiError(ErrorCode.AGENT_REQUIRED, "name an agent: room_config.agents[0].agent_name, or agent")
        if self._agents.get(name) is None:
            raise ApiError(ErrorCode.UNKNOWN_AGENT, f"there is no VoiceAgent {name!r}")
        return name

    async def _create_and_recheck(self, manifest: JsonObject) -> SessionRecord | None:
        """Create the session and check the quota again, against sessions of other replicas.

        Return None if the name is taken or an older session has the same conversation. Raises ApiError.
        """
        name = manifest["metadata"]["name"]
        with self._sessions.changes(name) as event:
            try:
                raw = await self._kube.create(SESSIONS, self._namespace, manifest)
            except ConflictError:
                await wait_for_change(event, self._watch_seconds)
                return None
            except ExternalError as error:
                raise _to_api_error(error, metrics.KubernetesCall.CREATE) from error
            metrics.CREATED.inc()
            created = await self._wait_until_in_store(SessionRecord.parse(raw), event)
        return created if await self._recheck_quota(created) else None

    async def _wait_until_in_store(self, created: SessionRecord, event: asyncio.Event) -> SessionRecord:
        """Wait until the watch shows the session, and so every older one too. Raises ApiError.

        On an error the session remains: a repeated request joins it, or it ends without humans.
        """
        deadline = self._monotonic() + self._watch_seconds
        while True:
            found = self._sessions.get(created.name)
            if found and found.uid == created.uid:
                return found
            if not await wait_for_change(event, deadline - self._monotonic()):
                log.warning("watch does not show a new session", extra={"session": created.name})
                raise ApiError(ErrorCode.UNAVAILABLE, "the watch on sessions is interrupted", retry_after=RETRY_SECONDS)

    async def _recheck_quota(self, created: SessionRecord) -> bool:
        """Return whether the session may stay; otherwise delete it. Raises ApiError if it exceeds the quota."""
        try:
            recheck_quota(self._sessions.of_caller(created.caller), created, self._quota)
        except ApiError as error:
            metrics.WITHDRAWN.inc()
            await self._withdraw(created)
            if error.code is not ErrorCode.CONFLICT:
                raise
            return False
        return True

    async def _withdraw(self, created: SessionRecord) -> None:
        """Delete the session and wait until the watch shows it. If this fails, the session ends without humans."""
        with self._sessions.changes(created.name) as event, suppress(ApiError):
            await self.end(created)
            while (found := self._sessions.get(created.name)) and found.uid == created.uid:
                if not await wait_for_change(event, self._watch_seconds):
                    return

    async def _wait_ready(self, record: SessionRecord) -> SessionRecord:
        """Return the session once it is Ready. Raises ApiError with the operator's message."""
        seconds = min(record.session.limits.start_seconds + START_MARGIN_SECONDS, self._longest_wait)
        deadline = self._monotonic() + seconds
        blocked_by: Condition | None = None
        with metrics.WAITING.track_inprogress(), self._sessions.changes(record.name) as event:
            while True:
                latest = self._sessions.get(record.name)
                if latest is None or latest.uid != record.uid:
                    raise ended_error(record, blocked_by)
                if not latest.is_live:
                    raise ended_error(latest, blocked_by)
                if latest.is_ready:
                    return latest
                blocked_by = blocking_condition(latest) or blocked_by
                if not await wait_for_change(event, deadline - self._monotonic()):
                    return await self._read_from_api_server(latest, seconds)

    async def _announce_human(self, record: SessionRecord) -> None:
        """Ask the operator to wait for the human of this request. Raises ApiError if the session has just ended."""
        # The operator's write of an end is conditional on the object's version, so it cannot overtake this write.
        annotations = {constants.HUMAN_EXPECTED_AT_ANNOTATION: to_rfc3339(self._clock())}
        body: JsonObject = {"metadata": {"uid": record.uid, "annotations": annotations}}
        try:
            raw = await self._kube.patch(SESSIONS, self._namespace, record.name, body)
        except (NotFoundError, ConflictError) as error:
            raise ended_error(record, None) from error
        except ExternalError as error:
            _to_api_error(error, metrics.KubernetesCall.PATCH)  # Counted; the token is good without it.
            return
        latest = SessionRecord.parse(raw, record.created_version)
        if latest.is_live:
            return
        with self._sessions.changes(record.name) as event:
            if (found := self._sessions.get(record.name)) and found.uid == record.uid and found.is_live:
                await wait_for_change(event, self._watch_seconds)
        raise ended_error(latest, None)

    async def _read_from_api_server(self, latest: SessionRecord, seconds: float) -> SessionRecord:
        """Read the session once more, because the watch may be interrupted. Raises ApiError if it is not Ready."""
        try:
            raw = await self._kube.get(SESSIONS, self._namespace, latest.name)
        except ExternalError as error:
            metrics.KUBERNETES_ERRORS.labels(metrics.KubernetesCall.GET.value).inc()
            raise not_ready_error(latest, seconds) from error
        found = SessionRecord.parse(raw, latest.created_version)
        if found.uid == latest.uid and found.is_ready:
            return found
        raise not_ready_error(found, seconds)


def _trace_annotations(span: SpanContext) -> dict[str, str]:
    """Return the annotations with which the operator's spans continue the trace; none for an invalid context."""
    traceparent = write_traceparent(span)
    return {constants.TRACEPARENT_ANNOTATION: traceparent} if traceparent else {}


def _manifest(name: str, agent: str, request: SessionRequest, annotations: Mapping[str, str]) -> JsonObject:
    labels = {constants.CALLER_LABEL: request.caller, constants.CONVERSATION_LABEL: request.conversation}
    spec: JsonObject = {"agentRef": {"name": agent}}
    if request.user:
        labels[constants.USER_LABEL] = request.user_label
        spec["user"] = request.user
    if request.metadata:
        spec["agentMetadata"] = request.metadata
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": constants.SESSION_KIND,
        "metadata": {"name": name, "labels": labels, "annotations": dict(annotations)},
        "spec": spec,
    }


def _to_api_error(error: ExternalError, call: metrics.KubernetesCall) -> ApiError:
    metrics.KUBERNETES_ERRORS.labels(call.value).inc()
    log.warning("API server refused a request", extra={"call": call.value, "reason": error.reason})
    if isinstance(error, TerminalError) and error.reason != FORBIDDEN:
        return ApiError(ErrorCode.INVALID_SESSION, error.message, error.reason)
    return ApiError(ErrorCode.UNAVAILABLE, "the API server refused the request", error.reason, RETRY_SECONDS)
