"""A fake API server for a whole operator: discovery, lists, watches without events, one Lease, and labels of pods."""

import asyncio
from collections import Counter

from aiohttp import web
from voicesession_common import JsonObject
from voicesession_common.api import constants

from tests.support.fakes.api_server import problem

GROUP = f"/apis/{constants.GROUP}/{constants.VERSION}"
VERBS = ["get", "list", "watch", "patch"]


def _resource(name: str, kind: str) -> JsonObject:
    return {"name": name, "kind": kind, "namespaced": True, "verbs": VERBS, "singularName": "", "shortNames": []}


DISCOVERY: dict[str, JsonObject] = {
    "/api": {"versions": ["v1"]},
    "/apis": {
        "groups": [
            {
                "name": constants.GROUP,
                "versions": [{"version": constants.VERSION}],
                "preferredVersion": {"version": constants.VERSION},
            }
        ]
    },
    "/api/v1": {"resources": [_resource("pods", "Pod"), _resource("namespaces", "Namespace")]},
    GROUP: {"resources": [_resource(constants.SESSIONS, "VoiceSession"), _resource(constants.AGENTS, "VoiceAgent")]},
}


class OperatorApi:
    """The whole cluster for one operator. `sessions` are listed; `silent` makes every request wait without an end."""

    def __init__(self) -> None:
        self.lease: JsonObject | None = None
        self.sessions: list[JsonObject] = []
        self.silent = False
        self.watches: Counter[str] = Counter()
        """Open watches by the last part of their path."""
        self.labeled = False
        """Whether the pod of the operator has the leader's label."""
        self._version = 100
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End the watches and the silence."""
        self._closing.set()

    @property
    def holder(self) -> str:
        """The pod of the Lease's holder; empty without one."""
        spec = (self.lease or {}).get("spec") or {}
        return str(spec.get("holderIdentity") or "").partition("_")[0]

    def seize(self, identity: str) -> None:
        """Write another holder into the Lease; an empty identity releases it."""
        assert self.lease is not None
        self._store({**self.lease, "spec": {**self.lease["spec"], "holderIdentity": identity}})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await self._closing.wait()
            return problem(503, "Stopping")
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        if "/leases" in request.path:
            return await self._answer_lease(request)
        if "/namespaces/" in request.path:
            return await self._answer_in_namespace(request)
        if "watch" in request.query:
            return await self._watch(request)
        items = self.sessions if request.path.endswith(constants.SESSIONS) else []
        return web.json_response({"metadata": {"resourceVersion": str(self._version)}, "items": items})

    async def _answer_in_namespace(self, request: web.Request) -> web.Response:
        """Answer the list and the patch of the operator's pods; no other object exists."""
        if "labelSelector" in request.query:
            return web.json_response({"metadata": {}, "items": []})
        if request.method != "PATCH" or "/pods/" not in request.path:
            return problem(404, "NotFound")
        labels = (await request.json())["metadata"]["labels"]
        self.labeled = labels[constants.LEADER_LABEL] == "true"
        return web.json_response({"metadata": {}})

    async def _answer_lease(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            return problem(404, "NotFound") if self.lease is None else web.json_response(self.lease)
        body = await request.json()
        known = (self.lease or {}).get("metadata", {}).get("resourceVersion")
        if body["metadata"].get("resourceVersion") != known:
            return problem(409, "Conflict")
        return web.json_response(self._store(body))

    def _store(self, lease: JsonObject) -> JsonObject:
        self._version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self._version)}}
        return self.lease

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        plural = request.path.rpartition("/")[2]
        self.watches[plural] += 1
        try:
            await self._closing.wait()
        finally:
            self.watches[plural] -= 1
        return response
