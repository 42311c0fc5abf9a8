"""The adapters against small HTTP servers that answer as the real ones do."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kubernetes.aio.client import Configuration
from voicesession_common.errors import ConflictError, ExternalError, NotFoundError, RetryableError, TerminalError
from voicesession_common.kube_client import PODS, SESSIONS, KubeClient
from voicesession_operator.clients import agent_pod, livekit
from voicesession_operator.clients.agent_pod import ControlPort, to_pod_state
from voicesession_operator.clients.livekit import RoomService
from voicesession_operator.controller.observation import to_pod
from voicesession_operator.domain.observed import RoomUnknown

from tests.support import operator_objects
from tests.support.metric_changes import counted

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = 1_763_853_600.0


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[BaseTestServer]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield server


@asynccontextmanager
async def kube(handler: Handler) -> AsyncIterator[KubeClient]:
    async with serving(handler) as server:
        configuration = Configuration(host=str(server.make_url("")).rstrip("/"))
        client = KubeClient(configuration)
        try:
            yield client
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "not found", NotFoundError),
        (409, "changed", ConflictError),
        (422, "invalid", TerminalError),
        (403, "forbidden: violates PodSecurity", TerminalError),
        (403, 'pods "x" is forbidden: exceeded quota: small', RetryableError),
        (429, "too many requests", RetryableError),
        (401, "token expired", RetryableError),
        (500, "internal error", RetryableError),
    ],
)
async def test_kubernetes_errors_are_classified(status: int, message: str, kind: type[ExternalError]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "reason": "Reason", "message": message}, status=status)

    async with kube(answer) as client:
        with pytest.raises(kind) as caught:
            await client.get(PODS, "default", "x")
    assert caught.value.message == message


async def test_a_list_is_read_page_by_page() -> None:
    pages = {"": (["a", "b"], "next"), "next": (["c"], "")}

    async def answer(request: web.Request) -> web.Response:
        names, following = pages[request.query.get("continue", "")]
        items = [{"metadata": {"name": name}} for name in names]
        return web.json_response({"metadata": {"resourceVersion": "7", "continue": following}, "items": items})

    async with kube(answer) as client:
        items, version = await client.list(PODS, "", "a=b")
    assert [item["metadata"]["name"] for item in items] == ["a", "b", "c"]
    assert version == "7"


async def test_a_status_is_merged_in_under_its_version() -> None:
    seen: list[tuple[str, str, str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.content_type, await request.json()))
        return web.json_response(operator_objects.session())

    async with kube(answer) as client:
        await client.patch_status(SESSIONS, "default", "hello", "5", {"humans": 1})
    path = "/apis/voicesession.dev/v1alpha1/namespaces/default/voicesessions/hello/status"
    body = {"metadata": {"resourceVersion": "5"}, "status": {"humans": 1}}
    assert seen == [("PATCH", path, "application/merge-patch+json", body)]


async def test_an_api_server_that_is_not_there_is_retryable() -> None:
    client = KubeClient(Configuration(host="http://127.0.0.1:9"))
    with pytest.raises(RetryableError):
        await client.get(PODS, "default", "x")
    await client.close()


async def test_the_control_port_gets_a_signed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519PrivateKey.generate()
    seen: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        body, token = await request.read(), request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(
            token, key.public_key(), algorithms=["EdDSA"], audience="pod-uid", options={"verify_exp": False}
        )
        assert claims["sha256"] == hashlib.sha256(body).hexdigest()
        assert claims["htm"] == request.method
        assert claims["exp"] - claims["iat"] == 30
        seen.append(json.loads(body) if body else {})
        return web.json_response({"podUID": "pod-uid", "state": "Bound", "sessionUID": "s", "epoch": 2})

    async with serving(answer) as server:
        assert server.port is not None
        monkeypatch.setattr(agent_pod, "CONTROL_PORT", server.port)
        control = ControlPort(key, lambda: NOW)
        await control.tell("127.0.0.1", "pod-uid", {"epoch": 2})
        state = await control.state("127.0.0.1", "pod-uid")
        other = await control.state("127.0.0.1", "pod-uid")
        await control.close()
    assert seen == [{"epoch": 2}, {}, {}]
    assert state == other
    assert state is not None
    assert (state.state, state.session_uid, state.epoch) == ("Bound", "s", 2)


@pytest.mark.parametrize(("status", "kind"), [(400, TerminalError), (401, RetryableError), (409, RetryableError)])
async def test_a_refused_order_says_why(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: type[ExternalError]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"reason": "because"}, status=status)

    async with serving(answer) as server:
        monkeypatch.setattr(agent_pod, "CONTROL_PORT", server.port)
        control = ControlPort(Ed25519PrivateKey.generate(), lambda: NOW)
        with pytest.raises(kind, match="because"):
            await control.tell("127.0.0.1", "pod-uid", {})
        assert await control.state("127.0.0.1", "pod-uid") is None
        await control.close()


async def test_another_pod_at_that_address_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"podUID": "another", "state": "Unbound"})

    async with serving(answer) as server:
        monkeypatch.setattr(agent_pod, "CONTROL_PORT", server.port)
        control = ControlPort(Ed25519PrivateKey.generate(), lambda: NOW)
        assert await control.state("127.0.0.1", "pod-uid") is None
        await control.close()


def test_the_pods_own_words_become_values() -> None:
    state = to_pod_state(
        {
            "state": "Bound",
            "sessionUID": "s",
            "epoch": 1,
            "job": {"state": "Joined", "participantSID": "PA_1", "restarts": 2, "epoch": 3},
            "activeAt": 7.5,
            "health": {"state": "Deaf", "message": "no turn in 60 s of speech", "remedies": 1},
            "lastHumanLeft": {"identity": "alice", "reason": "CLIENT_INITIATED", "at": 5.5},
            "memory": {"agentID": "agent-1", "state": "Unavailable", "message": "Letta does not answer"},
            "trouble": "",
        }
    )
    assert (state.participant_sid, state.job_restarts, state.job_epoch) == ("PA_1", 2, 3)
    assert (state.active_at, state.health, state.health_message) == (7.5, "Deaf", "no turn in 60 s of speech")
    assert (state.left_identity, state.left_reason, state.left_at) == ("alice", "CLIENT_INITIATED", 5.5)
    assert state.memory_problem == "Letta does not answer"
    unbound = to_pod_state(
        {"state": "Unbound", "lastHumanLeft": None, "memory": None, "activeAt": None, "health": None}
    )
    assert (unbound.left_identity, unbound.active_at, unbound.health, unbound.job_epoch) == ("", None, "", 0)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "unauthenticated", "LiveKitUnauthorized"),
        (503, "unavailable", "LiveKitUnavailable"),
        (400, "invalid_argument", "LiveKitRefused"),
    ],
)
async def test_livekit_that_cannot_tell_is_unknown(status: int, code: str, reason: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": code, "msg": "no"}, status=status)

    async with serving(answer) as server:
        rooms = RoomService(str(server.make_url("")), "key", "0123456789abcdef0123456789abcdef")
        observed = await rooms.observe("vs-1")
        await rooms.close()
    assert isinstance(observed, RoomUnknown)
    assert observed.reason == reason


async def test_deleting_a_room_that_is_gone_is_no_error() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": "not_found", "msg": "no such room"}, status=404)

    with counted() as rise:
        async with serving(answer) as server:
            rooms = RoomService(str(server.make_url("")), "key", "0123456789abcdef0123456789abcdef")
            await rooms.delete_room("vs-1")
            await rooms.close()
    assert rise.of("voicesession_livekit_request_seconds_count", call="DeleteRoom", outcome="not_found") == 1


async def test_the_agents_token_opens_one_room() -> None:
    rooms = RoomService("ws://livekit:7880", "key", "0123456789abcdef0123456789abcdef")
    claims = jwt.decode(rooms.agent_token("vs-1", "agent-66", "Agent_66", 60), options={"verify_signature": False})
    await rooms.close()
    assert claims["video"] == {
        "roomJoin": True,
        "canUpdateOwnMetadata": True,
        "room": "vs-1",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }
    assert (claims["sub"], claims["name"], claims["kind"]) == ("agent-66", "Agent_66", "agent")
    assert claims["attributes"] == {"voicesession.role": "agent"}
    assert claims["exp"] - claims["nbf"] == 60


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ({}, ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "no"}}}]},
            "CreateContainerConfigError: no",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled: exit code 137",
        ),
        ({"reason": "Evicted", "message": "disk"}, "Evicted: disk"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2"}]},
            "Unschedulable: 0/2",
        ),
    ],
)
def test_what_keeps_a_pod_from_starting(status: dict[str, Any], problem: str) -> None:
    assert to_pod(operator_objects.pod(**status)).problem == problem


async def test_a_livekit_that_takes_a_request_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit, "REQUEST_SECONDS", 0.05)
    over = asyncio.Event()

    async def say_nothing(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with serving(say_nothing) as server:
        rooms = RoomService(str(server.make_url("")), "key", "0123456789abcdef0123456789abcdef")
        async with asyncio.timeout(5):
            assert isinstance(await rooms.observe("vs-1"), RoomUnknown)
            with pytest.raises(RetryableError, match="does not answer"):
                await rooms.create_room("vs-1", "{}", 0)
        over.set()
        await rooms.close()
