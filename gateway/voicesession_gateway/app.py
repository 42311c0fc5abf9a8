"""The composition root of the gateway: wires everything together and shuts down in order."""

import asyncio
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web
from voicesession_common.api import constants
from voicesession_common.json_logging import configure
from voicesession_common.kube_client import AGENTS, SESSIONS, KubeClient, load_configuration
from voicesession_common.tracing import Tracing

from voicesession_gateway.access import Door
from voicesession_gateway.auth import Anonymous, Authenticator, Keys, Oidc
from voicesession_gateway.informer import Watch
from voicesession_gateway.page import Page
from voicesession_gateway.routes import Api
from voicesession_gateway.server import public, scraped, serve
from voicesession_gateway.session_store import Agents, Sessions
from voicesession_gateway.sessions import Desk
from voicesession_gateway.settings import Settings, SettingsError
from voicesession_gateway.tokens import Mint

log = logging.getLogger(__name__)

UNNOTICED_SECONDS: Final = 3.0
"""How long requests may still come after the pod is told to stop: so long its address may take to be forgotten."""
BAD_SETTINGS: Final = 2
SERVICE: Final = "voicesession-gateway"


class Gateway:
    """One replica. Built inside a running loop from a client that its caller closes."""

    def __init__(self, settings: Settings, kube: KubeClient, tracing: Tracing) -> None:
        self._settings = settings
        self._agents = Agents()
        self._sessions = Sessions(self._agents.spec)
        self._stop, self._stopping = asyncio.Event(), False
        self.watches = (
            Watch(kube, AGENTS, settings.namespace, self._agents),
            Watch(kube, SESSIONS, settings.namespace, self._sessions, selector=constants.CALLER_LABEL),
        )
        door = Door(
            authenticator(settings),
            settings.caller_rate,
            settings.user_rate,
            settings.streams_per_caller,
            settings.cors_origins,
            time.monotonic,
            settings.hosts,
        )
        desk = Desk(
            kube,
            settings.namespace,
            self._agents,
            self._sessions,
            settings.quota,
            settings.default_agent,
            settings.ready_seconds,
            time.monotonic,
            tracing=tracing,
        )
        mint = Mint(settings.livekit_api_key, settings.livekit_api_secret, settings.token_seconds)
        api = Api(door, desk, self._agents, self._sessions, mint, settings.default_agent)
        page = Page(
            settings.page_dir,
            settings.livekit_public_url,
            settings.auth,
            settings.default_agent,
            settings.ready_seconds,
        )
        self.app = public(api, page, door, self._is_ready, self._sessions.wake_all)

    async def run(self) -> int:
        """Until SIGTERM or SIGINT (0), or until a watch fails for good (1)."""
        self._catch_signals()
        watching = [asyncio.create_task(watch.run()) for watch in self.watches]
        stop = asyncio.create_task(self._stop.wait())
        scraper, _ = await serve(scraped(self._sessions.count), self._settings.metrics_port)
        people, port = await serve(self.app, self._settings.http_port)
        log.info("listening", extra={"port": port, "auth": self._settings.auth})
        try:
            done, _ = await asyncio.wait({stop, *watching}, return_when=asyncio.FIRST_COMPLETED)
            if stop not in done:
                log.error("a watch failed", exc_info=next(iter(done)).exception())
                return 1
            await self._shut_down(people)
            return 0
        finally:
            await people.cleanup()
            await scraper.cleanup()
            await _cancel(stop, *watching)

    async def _shut_down(self, people: web.AppRunner) -> None:
        """Not ready any more, then no new requests and no streams; who waits for a session gets it."""
        self._stopping = True
        log.info("shutting down")
        await asyncio.sleep(UNNOTICED_SECONDS)
        await people.cleanup()

    def _is_ready(self) -> bool:
        return self._agents.synced and self._sessions.synced and not self._stopping

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)


def authenticator(settings: Settings) -> Authenticator:
    """As the settings say."""
    if settings.oidc is not None:
        return Oidc(settings.oidc, time.monotonic)
    if settings.keys_dir:
        return Keys(Path(settings.keys_dir), time.monotonic)
    return Anonymous()


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(settings: Settings) -> int:
    """Build the client, run the gateway, close the client; returns the exit code."""
    async with AsyncExitStack() as stack:
        kube = KubeClient(await load_configuration(settings.kubeconfig))
        stack.push_async_callback(kube.close)
        tracing = Tracing.connect(SERVICE, settings.pod_name, settings.otlp_endpoint, settings.trace_ratio)
        stack.push_async_callback(tracing.close)
        return await Gateway(settings, kube, tracing).run()


def main() -> int:
    """Run one replica; returns the exit code: 0 after a signal, 1 after a failure, 2 for senseless settings."""
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        sys.stderr.write(f"voicesession-gateway: {error}\n")
        return BAD_SETTINGS
    configure(settings.log_level)
    return asyncio.run(run(settings))
