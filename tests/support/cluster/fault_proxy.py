"""A proxy in front of the real API server that injects delays, errors and expired watches.

It serves plain HTTP on localhost and connects to the API server of a kubeconfig, with its credentials. Answers are
those of Kubernetes unless a fault replaces them.
"""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from voicesession_common.kube_client import Credentials, load_credentials

HOP_BY_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "authorization"})
GONE = 410


@dataclass
class Fault:
    """Applies to requests with a matching method and path (including the query); `times` None means until lifted."""

    path: str
    method: str = ".*"
    status: int = 0
    """Status of the injected answer; 0 forwards the request."""
    delay: float = 0.0
    """Seconds of delay before the answer."""
    times: int | None = None
    hits: int = field(default=0, init=False)

    def applies(self, method: str, path: str) -> bool:
        spent = self.times is not None and self.hits >= self.times
        return not spent and bool(re.fullmatch(self.method, method)) and bool(re.search(self.path, path))


class FaultProxy:
    """Forwards requests and applies faults; `url` is its own address. Open watches can be cut off."""

    def __init__(self, server: str, client: aiohttp.ClientSession) -> None:
        self.url = ""
        self.requests: list[tuple[str, str, int]] = []
        """Method, path with query, and status of every answer."""
        self._server = server
        self._client = client
        self._faults: list[Fault] = []
        self._watches: dict[asyncio.Event, str] = {}

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def lift(self, fault: Fault) -> None:
        self._faults.remove(fault)

    def expire_watches(self, path: str) -> Fault:
        """Cut every watch with a matching path and answer new ones with 410 Gone until the fault is lifted."""
        fault = self.add(Fault(rf"{path}.*watch=true", "GET", status=GONE))
        for cut, watched in self._watches.items():
            if re.search(path, watched):
                cut.set()
        return fault

    def watching(self, path: str) -> bool:
        """Return whether a watch of this path is open."""
        return any(re.search(path, watched) for watched in self._watches.values())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        fault = next((fault for fault in self._faults if fault.applies(request.method, path)), None)
        if fault is not None:
            fault.hits += 1
            await asyncio.sleep(fault.delay)
            if fault.status:
                self._record(request, fault.status)
                return _answer(fault.status, request.query.get("watch") == "true")
        return await self._forward(request)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        # An empty body would be sent with a content type, which the API server refuses for GET.
        url, body = self._server + request.path_qs, await request.read() or None
        async with self._client.request(request.method, url, data=body, headers=headers, timeout=timeout) as answer:
            self._record(request, answer.status)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            if request.query.get("watch") == "true":
                return await self._stream(request, answer, kept)
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        cut = asyncio.Event()
        self._watches[cut] = request.path_qs
        copying = asyncio.create_task(_copy(answer, response))
        cutting = asyncio.create_task(cut.wait())
        try:
            await asyncio.wait({copying, cutting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._watches[cut]
            for task in (copying, cutting):
                task.cancel()
            await asyncio.gather(copying, cutting, return_exceptions=True)
        return response

    def _record(self, request: web.Request, status: int) -> None:
        self.requests.append((request.method, request.path_qs, status))


async def _copy(answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    async for chunk in answer.content.iter_any():
        await response.write(chunk)


def _answer(code: int, watch: bool) -> web.Response:
    """Build a failure in the API server's format; an expired watch is reported inside a successful stream."""
    reasons = {409: "Conflict", 410: "Expired", 429: "TooManyRequests"}
    failure: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reasons.get(code, "InternalError"),
        "message": "injected by the fault proxy",
        "code": code,
    }
    if watch and code == GONE:
        event = json.dumps({"type": "ERROR", "object": failure}) + "\n"
        return web.Response(text=event, content_type="application/json")
    return web.Response(status=code, text=json.dumps(failure), content_type="application/json")


def _ssl_context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=credentials.ca_path)
    if credentials.certificate_path:
        context.load_cert_chain(credentials.certificate_path, credentials.private_key_path)
    if not credentials.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def running(kubeconfig: str) -> AsyncIterator[FaultProxy]:
    """Run a proxy in front of the API server of the kubeconfig's current context."""
    credentials = await load_credentials(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=_ssl_context(credentials), limit=0)
    headers = {"Authorization": f"{credentials.scheme or 'Bearer'} {credentials.token}"} if credentials.token else {}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
        proxy = FaultProxy(credentials.server, client)
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
