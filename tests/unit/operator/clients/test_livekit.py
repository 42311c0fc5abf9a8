"""The LiveKit client against a local HTTP server: error classes, timeouts, the agent's token."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest
from aiohttp import web
from livekit import api
from livekit.protocol import models
from livekit.protocol import room as room_messages
from voicesession_common.errors import ExternalError, RetryableError
from voicesession_operator.clients import livekit
from voicesession_operator.clients.livekit import RoomService
from voicesession_operator.domain.naming import room_owner
from voicesession_operator.domain.observed import ListedRoom, RoomOwner

from tests.support.http_server import Handler, serving
from tests.support.metric_changes import counted

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - opens nothing

REQUEST_SECONDS = 30.0


@asynccontextmanager
async def room_service(handler: Handler, request_seconds: float = REQUEST_SECONDS) -> AsyncIterator[RoomService]:
    async with serving(handler) as server:
        rooms = RoomService(str(server.make_url("")), "key", SECRET, request_seconds)
        try:
            yield rooms
        finally:
            await rooms.close()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (401, "unauthenticated", "LiveKitUnauthorized"),
        (503, "unavailable", "LiveKitUnavailable"),
        (400, "invalid_argument", "LiveKitRefused"),
    ],
)
async def test_error_of_livekit_has_a_reason_for_a_condition(status: int, code: str, reason: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": code, "msg": "no"}, status=status)

    async with room_service(answer) as rooms:
        for call in (rooms.list_rooms(), rooms.list_participants("vs-1")):
            with pytest.raises(ExternalError) as raised:
                await call
            assert raised.value.reason == reason


async def test_list_participants_has_grants_and_omits_disconnected_participants() -> None:
    state, permission = models.ParticipantInfo.State, models.ParticipantPermission(can_update_metadata=True)
    participants = [
        models.ParticipantInfo(identity="alice", sid="PA_1", state=state.ACTIVE, permission=permission),
        models.ParticipantInfo(identity="bob", sid="PA_2", state=state.JOINED),
        models.ParticipantInfo(identity="carol", sid="PA_3", state=state.JOINING),
        models.ParticipantInfo(identity="dave", sid="PA_4", state=state.DISCONNECTED),
    ]

    async def answer(_: web.Request) -> web.Response:
        listed = room_messages.ListParticipantsResponse(participants=participants)
        return web.Response(body=listed.SerializeToString(), content_type="application/protobuf")

    async with room_service(answer) as rooms:
        found = [(p.identity, p.active, p.can_update_metadata) for p in await rooms.list_participants("vs-1")]
    assert found == [("alice", True, True), ("bob", False, False), ("carol", False, False)]


async def test_delete_room_ignores_a_missing_room() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": "not_found", "msg": "no such room"}, status=404)

    with counted() as rise:
        async with room_service(answer) as rooms:
            await rooms.delete_room("vs-1")
    assert rise.of("voicesession_livekit_request_seconds_count", call="DeleteRoom", outcome="not_found") == 1


async def test_agent_token_grants_a_single_room() -> None:
    rooms = RoomService("ws://livekit:7880", "key", SECRET)
    claims = jwt.decode(rooms.agent_token("vs-1", "agent-66", "Agent_66", 60, 3), options={"verify_signature": False})
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
    assert claims["attributes"] == {"voicesession.role": "agent", "voicesession.epoch": "3"}
    assert claims["exp"] - claims["nbf"] == 60


async def test_admin_token_administers_a_single_room_and_cannot_join() -> None:
    rooms = RoomService("ws://livekit:7880", "key", SECRET)
    claims = jwt.decode(rooms.admin_token("vs-1", 60), options={"verify_signature": False})
    await rooms.close()
    granted = {name for name, value in claims["video"].items() if value is True and not name.startswith("can")}
    assert (granted, claims["video"]["room"]) == ({"roomAdmin"}, "vs-1")
    assert claims["exp"] - claims["nbf"] == 60


async def test_request_without_a_response_times_out() -> None:
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with room_service(hang, request_seconds=0.05) as rooms:
        async with asyncio.timeout(30):
            with pytest.raises(RetryableError, match="does not answer"):
                await rooms.create_room("vs-1", "{}", 0)
        released.set()


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("body", [b"<html>A proxy's page</html>", b"[" * 5000, b"[]", b'{"code": 7}'])
async def test_answer_of_another_program_is_an_outage(status: int, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/json")

    async with room_service(answer) as rooms:
        for call in (rooms.list_rooms(), rooms.list_participants("vs-1")):
            with pytest.raises(RetryableError):
                await call


async def test_list_rooms_sends_a_single_request_without_names() -> None:
    owner = {"installation": "inst", "namespace": "default", "name": "hello"}
    listed = [
        api.Room(name="vs-1", sid="RM_1", num_participants=2, metadata=json.dumps({"voicesession": owner})),
        api.Room(name="foreign", sid="RM_2", metadata="anything"),
    ]
    requests: list[api.ListRoomsRequest] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(api.ListRoomsRequest.FromString(await request.read()))
        body = api.ListRoomsResponse(rooms=listed).SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")

    async with room_service(answer) as service:
        found = await service.list_rooms()
    assert [list(request.names) for request in requests] == [[]]
    assert found == {
        "vs-1": ListedRoom("RM_1", 2, RoomOwner("inst", "default", "hello")),
        "foreign": ListedRoom("RM_2", 0),
    }


async def test_second_list_of_rooms_parses_no_known_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counted_owner(metadata: str) -> RoomOwner | None:
        parsed.append(metadata)
        return room_owner(metadata)

    monkeypatch.setattr(livekit, "room_owner", counted_owner)
    owner = {"installation": "inst", "namespace": "default", "name": "hello"}
    listed = [api.Room(name="vs-1", sid="RM_1", metadata=json.dumps({"voicesession": owner}))]

    async def answer(_: web.Request) -> web.Response:
        body = api.ListRoomsResponse(rooms=listed).SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")

    async with room_service(answer) as service:
        first = await service.list_rooms()
        assert await service.list_rooms() == first
        assert len(parsed) == 1
        listed[0].metadata = json.dumps({"voicesession": {**owner, "name": "other"}})
        assert (await service.list_rooms())["vs-1"].owner == RoomOwner("inst", "default", "other")


async def test_create_room_returns_the_listed_room() -> None:
    async def answer(_: web.Request) -> web.Response:
        body = api.Room(name="vs-1", sid="RM_1", num_participants=1).SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")

    async with room_service(answer) as rooms:
        assert await rooms.create_room("vs-1", "{}", 0) == ListedRoom("RM_1", 1)
