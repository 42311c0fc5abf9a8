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
from voicesession_common.errors import RetryableError
from voicesession_operator.clients.livekit import OwnedRoom, RoomService
from voicesession_operator.domain.observed import Room, RoomUnknown

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
async def test_observe_after_an_error_returns_unknown(status: int, code: str, reason: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": code, "msg": "no"}, status=status)

    async with room_service(answer) as rooms:
        observed = await rooms.observe("vs-1")
    assert isinstance(observed, RoomUnknown)
    assert observed.reason == reason


async def test_observe_lists_grants_and_omits_disconnected_participants() -> None:
    state, permission = models.ParticipantInfo.State, models.ParticipantPermission(can_update_metadata=True)
    participants = [
        models.ParticipantInfo(identity="alice", sid="PA_1", state=state.ACTIVE, permission=permission),
        models.ParticipantInfo(identity="bob", sid="PA_2", state=state.JOINED),
        models.ParticipantInfo(identity="carol", sid="PA_3", state=state.JOINING),
        models.ParticipantInfo(identity="dave", sid="PA_4", state=state.DISCONNECTED),
    ]
    answers = {
        "ListRooms": room_messages.ListRoomsResponse(rooms=[models.Room(sid="RM_1", name="vs-1")]),
        "ListParticipants": room_messages.ListParticipantsResponse(participants=participants),
    }

    async def answer(request: web.Request) -> web.Response:
        body = answers[request.path.rsplit("/", 1)[1]].SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")

    async with room_service(answer) as rooms:
        observed = await rooms.observe("vs-1")
    assert isinstance(observed, Room)
    found = [(p.identity, p.active, p.can_update_metadata) for p in observed.participants]
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
            assert isinstance(await rooms.observe("vs-1"), RoomUnknown)
            with pytest.raises(RetryableError, match="does not answer"):
                await rooms.create_room("vs-1", "{}", 0)
        released.set()


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("body", [b"<html>A proxy's page</html>", b"[" * 5000, b"[]", b'{"code": 7}'])
async def test_answer_of_another_program_is_an_outage(status: int, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/json")

    async with room_service(answer) as rooms:
        assert isinstance(await rooms.observe("vs-1"), RoomUnknown)
        with pytest.raises(RetryableError):
            await rooms.list_owned_rooms("inst")


def metadata(**owner: object) -> str:
    return json.dumps({"voicesession": {"installation": "inst", "namespace": "default", "name": "hello"} | owner})


async def test_list_owned_rooms_ignores_foreign_metadata() -> None:
    foreign = ("", "inst", "[" * 3000 + "inst", '["inst"]', '{"voicesession": "inst"}', '{"voicesession": ["inst"]}')
    rooms = [
        api.Room(name=f"foreign-{number}", metadata=text)
        for number, text in enumerate((*foreign, metadata(name=["hello"]), metadata(namespace=7)))
    ]
    rooms += [api.Room(name="vs-1", metadata=metadata()), api.Room(name="vs-2", metadata=metadata(uid=["old"]))]

    async def answer(_: web.Request) -> web.Response:
        listed = api.ListRoomsResponse(rooms=rooms)
        return web.Response(body=listed.SerializeToString(), content_type="application/protobuf")

    async with room_service(answer) as service:
        found = await service.list_owned_rooms("inst")
    assert found == [OwnedRoom("vs-1", "default", "hello"), OwnedRoom("vs-2", "default", "hello")]
