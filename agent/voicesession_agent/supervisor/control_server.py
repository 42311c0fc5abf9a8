"""The control port: an HTTP server that returns the pod's state and accepts the desired state.

A client that has the current state, by its entity tag, can wait for the next one with `If-None-Match` and
`Prefer: wait=SECONDS` (RFC 7240). See docs/architecture.md.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import web

from voicesession_agent.metrics import Metrics
from voicesession_agent.supervisor.control_auth import RefusedError, Verifier
from voicesession_agent.supervisor.desired_state import DesiredState, MalformedError, parse
from voicesession_agent.supervisor.pod_state import OtherSessionError, PodState

POLL_SECONDS: Final = 0.5
"""Fallback poll: some changes, such as the pod giving up, call no `notify()`."""


class StateChanges:
    """Entity tag of the pod's state, and a wait for its next value, which compares tags every `poll_seconds`."""

    def __init__(self, state: PodState, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._state, self._poll_seconds = state, poll_seconds
        self._changed = asyncio.Event()

    def tag(self) -> str:
        """Return a strong entity tag (RFC 9110). Speech and measurements change too often to be part of it."""
        state = self._state
        job = (state.job, state.job_epoch, state.participant_sid, state.diagnosis, state.trouble)
        room = (state.humans, state.last_human_left)
        desired = (state.bound_at, state.desired_epoch, state.ended_epoch)
        facts = (state.phase, desired, job, state.restarts, room, state.memory_status())
        return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"'

    def notify(self) -> None:
        """Wake all waiters, so that they compare the tag again."""
        self._changed.set()
        self._changed.clear()

    async def wait_for_change(self, tag: str, seconds: float) -> str:
        """Wait until the tag differs from `tag`, at most `seconds`, and return the current tag."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.tag() == tag:
                    await self._wait_for_notification()
        return self.tag()

    async def _wait_for_notification(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._changed.wait()


MAX_BODY_BYTES: Final = 768 << 10
"""The metadata of room and agent have up to 16,384 characters each, and JSON may use 12 bytes for one. A conversation
has up to HISTORY_BYTES, of which JSON may make 12 times as many."""
READ_SECONDS: Final = 5.0
"""Time to receive a body, which arrives in milliseconds; the sender is known only afterwards."""
IDLE_SECONDS: Final = 20.0
"""Lifetime of a connection without a complete request, such as one with half a header. The operator's client closes its
own idle connections after 15 s."""
MAX_WAIT_SECONDS: Final = 120
"""Longer than the operator waits; bounds the lifetime of an abandoned request."""
NOT_MODIFIED: Final = 304
WAIT: Final = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")
log = logging.getLogger(__name__)


class ControlServer:
    """Public GET /healthz and /readyz; signed GET and PUT /v1/state, and GET /v1/conversation, for the operator."""

    def __init__(
        self,
        state: PodState,
        verifier: Verifier,
        metrics: Metrics,
        set_desired_state: Callable[[DesiredState], Awaitable[None]],
        changes: StateChanges,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._state = state
        self._verifier = verifier
        self._metrics = metrics
        self._set_desired_state = set_desired_state
        self._changes = changes
        self._read_seconds = read_seconds

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/v1/state", self._get),
                web.put("/v1/state", self._put),
                web.get("/v1/conversation", self._get_conversation),
            ]
        )
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._state.ready
        return web.Response(status=200 if ready else 503, text="ready\n" if ready else "not ready\n")

    async def _get(self, request: web.Request) -> web.Response:
        refusal = await self._authenticate(request)
        if refusal is not None:
            return refusal
        seen = request.headers.get("If-None-Match", "")
        tag = await self._changes.wait_for_change(seen, _wait_seconds(request.headers.get("Prefer", "")))
        if tag == seen:
            return web.Response(status=NOT_MODIFIED, headers={"ETag": tag})
        return web.json_response(self._state.render(), headers={"ETag": tag})

    async def _put(self, request: web.Request) -> web.Response:
        refusal = await self._authenticate(request)
        if refusal is not None:
            return refusal
        try:
            await self._set_desired_state(parse(await request.read()))
        except MalformedError as error:
            return _error_response(400, str(error))
        except OtherSessionError:
            return _error_response(409, "bound to another session")
        self._changes.notify()
        return web.json_response(self._state.render())

    async def _get_conversation(self, request: web.Request) -> web.Response:
        """Return the conversation of the current epoch, for the pod that continues it."""
        refusal = await self._authenticate(request)
        if refusal is not None:
            return refusal
        return web.json_response({"podUID": self._state.pod_uid, **self._state.conversation.to_json()})

    async def _authenticate(self, request: web.Request) -> web.Response | None:
        """Return the response to a request that the operator did not sign, or did not send in time, otherwise None."""
        try:
            async with asyncio.timeout(self._read_seconds):
                body = await request.read()
            self._verifier.check(request.headers.get("Authorization"), request.method, request.path, body)
        except TimeoutError:
            return _error_response(408, "too slow")
        except RefusedError as refused:
            self._metrics.refused.labels(refused.reason.value).inc()
            log.warning("control request refused", extra={"event": "refused", "reason": refused.reason.value})
            return _error_response(401, refused.reason.value)
        return None


async def start_runner(
    app: web.Application, shutdown_seconds: float, idle_seconds: float = IDLE_SECONDS
) -> web.AppRunner:
    """Return the runner of an application, to which sites can be added."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_seconds, keepalive_timeout=idle_seconds)
    await runner.setup()
    return runner


def _wait_seconds(prefer: str) -> float:
    """Return the seconds of a Prefer header, at most MAX_WAIT_SECONDS; 0 if there is none."""
    wait = WAIT.search(prefer)
    return min(float(wait[1]), MAX_WAIT_SECONDS) if wait else 0.0


def _error_response(status: int, reason: str) -> web.Response:
    return web.json_response({"reason": reason}, status=status)
