"""A fake API server for two kinds, with real resource versions, conflicts and watches, and without validation."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.kube_client import KubeClient

from tests.support.builders import T0

BASE = f"/apis/{constants.GROUP}/{constants.VERSION}/namespaces/voice"


def problem(status: int, reason: str, message: str = "no") -> web.Response:
    return web.json_response({"kind": "Status", "reason": reason, "message": message}, status=status)


class FakeApiServer:
    """Objects of one namespace. `refuse` maps a verb to an error response; `calls` counts verbs."""

    def __init__(self) -> None:
        self.revision = 10
        self.objects: dict[str, dict[str, JsonObject]] = {constants.SESSIONS: {}, constants.AGENTS: {}}
        self.refuse: dict[str, Callable[[], web.Response]] = {}
        self.calls: Counter[str] = Counter()
        self.silent = asyncio.Event()
        """Set: watches send no more events."""
        self.next_create_waits: asyncio.Event | None = None
        """If set, the next create stores its object at once and responds after this event."""
        self._history: list[tuple[int, str, str, JsonObject]] = []
        self._changed = asyncio.Condition()
        self._cut = 0

    @property
    def sessions(self) -> dict[str, JsonObject]:
        return self.objects[constants.SESSIONS]

    async def put(self, plural: str, raw: JsonObject) -> JsonObject:
        known = self.objects[plural].get(raw["metadata"]["name"])
        return await self._store(plural, "MODIFIED" if known else "ADDED", raw)

    async def status(self, name: str, status: JsonObject) -> None:
        await self.put(constants.SESSIONS, {**self.sessions[name], "status": status})

    async def drop(self, name: str) -> None:
        await self._store(constants.SESSIONS, "DELETED", self.sessions[name])

    async def cut_watches(self, *, forget: bool = False) -> None:
        """End all open watches. With `forget`, answer 410 Gone to watches from older versions."""
        async with self._changed:
            self._cut += 1
            if forget:
                self._history.clear()
            self._changed.notify_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        plural, _, name = request.path.removeprefix(f"{BASE}/").partition("/")
        verb = "watch" if "watch" in request.query else request.method.lower() + ("" if name else "-all")
        self.calls[verb] += 1
        if verb in self.refuse:
            return self.refuse[verb]()
        if verb == "watch":
            return await self._watch(request, plural)
        if verb == "post-all":
            return await self.create(plural, await request.json())
        if verb == "get-all":
            items = [raw for raw in self.objects[plural].values() if _selected(request, raw)]
            return web.json_response({"metadata": {"resourceVersion": str(self.revision)}, "items": items})
        return await self._one(request, plural, self.objects[plural].get(name))

    async def _one(self, request: web.Request, plural: str, raw: JsonObject | None) -> web.Response:
        if raw is None:
            return problem(404, "NotFound")
        if request.method == "DELETE":
            if (await request.json())["preconditions"]["uid"] != raw["metadata"]["uid"]:
                return problem(409, "Conflict")
            await self.drop(raw["metadata"]["name"])
        if request.method == "PATCH":
            raw = await self._merge_metadata(plural, raw, await request.json())
        return web.json_response(raw)

    async def _merge_metadata(self, plural: str, raw: JsonObject, patch: JsonObject) -> JsonObject:
        metadata = raw["metadata"]
        annotations = {**metadata.get("annotations", {}), **patch["metadata"]["annotations"]}
        return await self.put(plural, {**raw, "metadata": {**metadata, "annotations": annotations}})

    async def create(self, plural: str, raw: JsonObject) -> web.Response:
        name = raw["metadata"]["name"]
        if name in self.objects[plural]:
            return problem(409, "AlreadyExists")
        may_respond, self.next_create_waits = self.next_create_waits, None
        raw["metadata"] |= {"uid": f"uid-{self.revision}", "creationTimestamp": to_rfc3339(T0), "namespace": "voice"}
        stored = await self.put(plural, raw)
        if may_respond is not None:
            await may_respond.wait()
        return web.json_response(stored, status=201)

    async def _store(self, plural: str, kind: str, raw: JsonObject) -> JsonObject:
        async with self._changed:
            self.revision += 1
            stored = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.revision)}}
            if kind == "DELETED":
                del self.objects[plural][raw["metadata"]["name"]]
            else:
                self.objects[plural][raw["metadata"]["name"]] = stored
            self._history.append((self.revision, plural, kind, stored))
            self._changed.notify_all()
        return stored

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        seen, cut = int(request.query["resourceVersion"]), self._cut
        if not self._history and seen < self.revision:
            gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        while cut == self._cut:
            async with self._changed:
                events = [event for event in self._history if event[0] > seen]
                if not events or self.silent.is_set():
                    await self._changed.wait()
                    continue
            for revision, event_plural, kind, raw in events:
                seen = revision
                if event_plural == plural and _selected(request, raw):
                    await response.write(json.dumps({"type": kind, "object": raw}).encode() + b"\n")
        return response


def _selected(request: web.Request, raw: JsonObject) -> bool:
    label = request.query.get("labelSelector", "")
    return not label or label in raw["metadata"].get("labels", {})


@asynccontextmanager
async def serving(api: FakeApiServer) -> AsyncIterator[str]:
    """Serve until the block ends; yield the URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    server = TestServer(app)
    async with server:
        try:
            yield str(server.make_url("")).rstrip("/")
        finally:
            await api.cut_watches()
            api.refuse = dict.fromkeys(("watch", "get-all"), lambda: problem(503, "Stopping"))


@asynccontextmanager
async def client(url: str) -> AsyncIterator[KubeClient]:
    """Yield a client of the server at `url`."""
    kube = KubeClient(Configuration(host=url))
    try:
        yield kube
    finally:
        await kube.close()
