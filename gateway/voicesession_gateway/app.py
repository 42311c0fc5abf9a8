"""Composition root of the gateway: constructs every part and shuts them down in order."""

import asyncio
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from voicesession_common.api import constants
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import AGENTS, SESSIONS, KubeClient, load_configuration
from voicesession_common.tracing import Tracing

from voicesession_gateway.access import AccessControl
from voicesession_gateway.auth import Anonymous, ApiKeys, Authenticator, OidcTokens
from voicesession_gateway.event_stream import HEARTBEAT_SECONDS
from voicesession_gateway.informer import StoreInformer
from voicesession_gateway.page import Page
from voicesession_gateway.routes import ApiHandlers, TokenIssuer
from voicesession_gateway.server import metrics_app, public_app, serve
from voicesession_gateway.session_store import AgentStore, SessionStore
from voicesession_gateway.sessions import WATCH_SECONDS, SessionService
from voicesession_gateway.settings import GatewaySettings, SettingsError

log = logging.getLogger(__name__)

ENDPOINT_REMOVAL_SECONDS: Final = 3.0
"""Keep serving this long after SIGTERM: endpoint removal takes time to reach every proxy."""
INVALID_SETTINGS: Final = 2
SERVICE: Final = "voicesession-gateway"


@dataclass(frozen=True)
class GatewayTimings:
    """Times of one replica that no setting changes."""

    endpoint_removal_seconds: float = ENDPOINT_REMOVAL_SECONDS
    watch_seconds: float = WATCH_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS


class Gateway:
    """One replica. Construct it inside a running loop; the caller closes the client.

    `ports` holds the public port and the port of the metrics, once both listen.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        kube: KubeClient,
        tracing: Tracing,
        timings: GatewayTimings = GatewayTimings(),
    ) -> None:
        self._settings, self._timings = settings, timings
        self.ports: tuple[int, ...] = ()
        self._agents = AgentStore()
        self._sessions = SessionStore(self._agents.spec)
        self._stop, self._stopping = asyncio.Event(), False
        self.informers = (
            StoreInformer(kube, AGENTS, settings.namespace, self._agents),
            StoreInformer(kube, SESSIONS, settings.namespace, self._sessions, selector=constants.CALLER_LABEL),
        )
        access = AccessControl(
            build_authenticator(settings),
            settings.caller_rate,
            settings.user_rate,
            settings.streams_per_caller,
            settings.cors_origins,
            time.monotonic,
            settings.hosts,
        )
        service = SessionService(
            kube,
            settings.namespace,
            self._agents,
            self._sessions,
            settings.quota,
            settings.default_agent,
            settings.ready_seconds,
            time.monotonic,
            clock=time.time,
            tracing=tracing,
            watch_seconds=timings.watch_seconds,
        )
        issuer = TokenIssuer(settings.livekit_api_key, settings.livekit_api_secret, settings.token_seconds)
        api = ApiHandlers(
            access,
            service,
            self._agents,
            self._sessions,
            issuer,
            settings.default_agent,
            heartbeat_seconds=timings.heartbeat_seconds,
        )
        page = Page(
            settings.page_dir,
            settings.livekit_public_url,
            settings.auth,
            settings.default_agent,
            settings.ready_seconds,
        )
        self.app = public_app(api, page, access, self._is_ready, self._sessions.wake_all)

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT and return 0; return 1 if an informer fails."""
        self._catch_signals()
        informing = [asyncio.create_task(informer.run()) for informer in self.informers]
        stop = asyncio.create_task(self._stop.wait())
        metrics_runner, metrics_port = await serve(
            metrics_app(self._sessions.update_gauge), self._settings.metrics_port
        )
        public_runner, port = await serve(self.app, self._settings.http_port)
        self.ports = (port, metrics_port)
        log.info("listening", extra={"port": port, "auth": self._settings.auth})
        try:
            done, _ = await asyncio.wait({stop, *informing}, return_when=asyncio.FIRST_COMPLETED)
            if stop not in done:
                log.error("informer failed", exc_info=next(iter(done)).exception())
                return 1
            await self._shut_down(public_runner)
            return 0
        finally:
            await public_runner.cleanup()
            await metrics_runner.cleanup()
            await _cancel(stop, *informing)

    async def _shut_down(self, public_runner: web.AppRunner) -> None:
        """Report unready, then stop accepting requests and end streams. Pending requests get their session."""
        self._stopping = True
        log.info("shutting down")
        await asyncio.sleep(self._timings.endpoint_removal_seconds)
        await public_runner.cleanup()

    def _is_ready(self) -> bool:
        return self._agents.synced and self._sessions.synced and not self._stopping

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)


def build_authenticator(settings: GatewaySettings) -> Authenticator:
    """Return the authenticator that the settings select."""
    if settings.oidc is not None:
        return OidcTokens(settings.oidc, time.monotonic)
    if settings.keys_dir:
        return ApiKeys(Path(settings.keys_dir), time.monotonic)
    return Anonymous()


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(settings: GatewaySettings) -> int:
    """Construct the client, run the gateway, close the client. Return the exit code."""
    async with AsyncExitStack() as stack:
        kube = KubeClient(await load_configuration(settings.kubeconfig))
        stack.push_async_callback(kube.close)
        tracing = Tracing.connect(SERVICE, settings.pod_name, settings.otlp_endpoint, settings.trace_ratio)
        stack.push_async_callback(tracing.close)
        return await Gateway(settings, kube, tracing).run()


def main() -> int:
    """Run one replica. Return the exit code: 0 after a signal, 1 after a failure, 2 for invalid settings."""
    try:
        settings = GatewaySettings.from_env()
    except SettingsError as error:
        sys.stderr.write(f"voicesession-gateway: {error}\n")
        return INVALID_SETTINGS
    configure(settings.log_level)
    return asyncio.run(run(settings))
