"""The control port: it tells a state, and is told one (HTTP, see docs/architecture.md).

Who knows the state already, by its entity tag, may wait for the next one: `If-None-Match` and `Prefer: wait=SECONDS`
(RFC 7240).
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
"""What changes and is published by nobody, such as a pod that gives up, is found by looking this often."""


class StateChanges:
    """`published` wakes everybody who waits for a change."""

    def __init__(self, state: PodState) -> None:
        self._state = state
        self._news = asyncio.Event()

    def tag(self) -> str:
        """A strong entity tag (RFC 9110). Speech, memory and measurements change too often, and move nobody."""
        state = self._state
        job = (state.job, state.job_epoch, state.participant_sid, state.diagnosis, state.trouble)
        facts = (state.phase, state.bound_at, state.desired_epoch, job, state.humans, state.last_human_left)
        return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}"'

    def notify(self) -> None:
        self._news.set()
        self._news.clear()

    async def wait_for_change(self, tag: str, seconds: float) -> str:
        """The tag of now, as soon as it is another one, and after so many seconds in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.tag() == tag:
                    await self._poll_later()
        return self.tag()

    async def _poll_later(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._news.wait()


MAX_BODY_BYTES: Final = 64 << 10
MAX_WAIT_SECONDS: Final = 60
"""Longer than an operator waits; it bounds what a forgotten request holds."""
NOT_MODIFIED: Final = 304
WAIT: Final = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")
log = logging.getLogger(__name__)


class ControlServer:
    """GET /healthz /readyz for anyone; GET and PUT /v1/state for the operator's signature only."""

    def __init__(
        self,
        state: PodState,
        verifier: Verifier,
        metrics: Metrics,
        set_desired_state: Callable[[DesiredState], Awaitable[None]],
        changes: StateChanges,
    ) -> None:
        self._state = state
        self._verifier = verifier
        self._metrics = metrics
        self._tell = set_desired_state
        self._changes = changes

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/v1/state", self._get),
                web.put("/v1/state", self._put),
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
            await self._tell(parse(await request.read()))
        except MalformedError as error:
            return _reason(400, str(error))
        except OtherSessionError:
            return _reason(409, "bound to another session")
        self._changes.notify()
        return web.json_response(self._state.render())

    async def _authenticate(self, request: web.Request) -> web.Response | None:
        """The answer to a request that is not the operator's, or None."""
        try:
            self._verifier.check(request.headers.get("Authorization"), request.method, await request.read())
        except RefusedError as refused:
            self._metrics.refused.labels(refused.reason.value).inc()
            log.warning("control request refused", extra={"event": "refused", "reason": refused.reason.value})
            return _reason(401, refused.reason.value)
        return None


def _wait_seconds(prefer: str) -> float:
    """Seconds that the caller would wait for another state; 0 where it does not say."""
    wait = WAIT.search(prefer)
    return min(float(wait[1]), MAX_WAIT_SECONDS) if wait else 0.0


def _reason(status: int, reason: str) -> web.Response:
    return web.json_response({"reason": reason}, status=status)
