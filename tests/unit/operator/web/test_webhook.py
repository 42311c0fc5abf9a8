"""The webhook endpoint over HTTP, with bodies signed as LiveKit signs them."""

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from livekit import api
from voicesession_operator.clients.livekit import RoomEvent
from voicesession_operator.domain.observed import LeaveHint, LeaveReason
from voicesession_operator.metrics import REGISTRY
from voicesession_operator.web import webhook
from voicesession_operator.web.server import Probes, WebServer
from voicesession_operator.web.webhook import WebhookEndpoint

from tests.support.async_polling import until
from tests.support.builders import ROOM

KEY, SECRET = "key", "0123456789abcdef0123456789abcdef"
NOW = 1_763_853_600.0
REMEMBERED_EVENTS = 3
CONCURRENT_READS = 2

Client = TestClient[Any, Any]


class Receiver:
    """An endpoint with the events that it passed on."""

    def __init__(self, read_seconds: float = 60.0) -> None:
        self.accepting = True
        self.events: list[RoomEvent] = []
        self.endpoint = WebhookEndpoint(
            KEY,
            SECRET,
            lambda: self.accepting,
            self.on_event,
            lambda: NOW,
            remembered_events=REMEMBERED_EVENTS,
            read_seconds=read_seconds,
            concurrent_reads=CONCURRENT_READS,
        )

    def on_event(self, received: RoomEvent) -> bool:
        self.events.append(received)
        return received.room == ROOM

    @property
    def leaves(self) -> list[tuple[str, LeaveHint | None]]:
        return [(received.room, received.leave) for received in self.events]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@asynccontextmanager
async def serving(receiver: Receiver) -> AsyncIterator[Client]:
    probes = Probes(lambda: True, lambda: True, lambda: 0.0, lambda: None)
    server = WebServer(0, probes, receiver.endpoint)
    async with TestClient(TestServer(server.app)) as http_client:
        yield http_client


@pytest.fixture
async def client(receiver: Receiver) -> AsyncIterator[Client]:
    async with serving(receiver) as http_client:
        yield http_client


def event(kind: str = "participant_joined", **values: Any) -> bytes:
    document = {"event": kind, "id": "EV_1", "createdAt": str(int(NOW)), "room": {"name": ROOM}}
    return json.dumps(document | values).encode()


def signed(body: bytes, secret: str = SECRET, key: str = KEY, seconds: int = 300) -> dict[str, str]:
    token = api.AccessToken(key, secret).with_ttl(timedelta(seconds=seconds))
    token.with_sha256(base64.b64encode(hashlib.sha256(body).digest()).decode())
    return {"Authorization": token.to_jwt(), "Content-Type": "application/webhook+json"}


async def post(client: Client, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    async with client.post(webhook.PATH, data=body, headers=headers) as response:
        return response.status, await response.json()


def webhook_count(event_name: str, outcome: str) -> float:
    labels = {"event": event_name, "outcome": outcome}
    return REGISTRY.get_sample_value("voicesession_webhooks_total", labels) or 0.0


async def test_event_of_known_room_is_passed_on_and_counted(client: Client, receiver: Receiver) -> None:
    before = webhook_count("participant_joined", "accepted")
    body = event()
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})
    assert receiver.leaves == [(ROOM, None)]
    assert webhook_count("participant_joined", "accepted") == before + 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("CLIENT_INITIATED", LeaveReason.LEFT),
        ("CONNECTION_TIMEOUT", LeaveReason.CONNECTION_LOST),
        ("FROM_THE_FUTURE", LeaveReason.UNKNOWN),
    ],
)
async def test_human_leaving_passes_reason_and_time_of_arrival(
    client: Client, receiver: Receiver, reason: str, expected: LeaveReason
) -> None:
    human = {"identity": "alice", "sid": "PA_alice", "disconnectReason": reason}
    body = event("participant_left", participant=human, createdAt=str(int(NOW) - 4))
    await post(client, body, signed(body))
    assert receiver.leaves == [(ROOM, LeaveHint("PA_alice", expected, NOW, NOW - 4))]


async def test_leave_of_participant_with_forged_role_is_passed_on(client: Client, receiver: Receiver) -> None:
    attributes, permission = {"voicesession.role": "observer"}, {"canUpdateMetadata": True}
    human = {"identity": "alice", "sid": "PA_alice", "attributes": attributes, "permission": permission}
    body = event("participant_left", participant=human)
    await post(client, body, signed(body))
    assert [leave is not None for _, leave in receiver.leaves] == [True]


async def test_agent_leaving_passes_no_leave(client: Client, receiver: Receiver) -> None:
    body = event("participant_left", participant={"identity": "agent-66", "kind": "AGENT"})
    await post(client, body, signed(body))
    assert receiver.leaves == [(ROOM, None)]


async def test_agent_joining_is_passed_on(client: Client, receiver: Receiver) -> None:
    body = event(participant={"identity": "agent-66", "kind": "AGENT"})
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})
    assert receiver.leaves == [(ROOM, None)]


async def test_repeated_event_is_ignored(client: Client, receiver: Receiver) -> None:
    body = event()
    await post(client, body, signed(body))
    assert await post(client, body, signed(body)) == (200, {"outcome": "duplicate"})
    assert len(receiver.leaves) == 1


async def test_unknown_room_is_accepted_without_effect(client: Client) -> None:
    body = event(room={"name": "unknown-room"})
    assert await post(client, body, signed(body)) == (200, {"outcome": "unknown_room"})


async def test_unused_event_type_is_ignored(client: Client, receiver: Receiver) -> None:
    body = event("track_published")
    assert await post(client, body, signed(body)) == (200, {"outcome": "ignored"})
    assert receiver.leaves == []


async def test_stale_event_is_refused(client: Client, receiver: Receiver) -> None:
    body = event(createdAt=str(int(NOW - 400)))
    assert await post(client, body, signed(body)) == (401, {"outcome": "refused", "reason": "stale"})
    assert receiver.leaves == []


INVALID_SIGNATURES: dict[str, Callable[[bytes], dict[str, str]]] = {
    "signature": lambda body: signed(body, secret="f" * 32),
    "issuer": lambda body: signed(body, key="another"),
    "expired": lambda body: signed(body, seconds=-120),
    "hash": lambda body: signed(body + b" "),
    "malformed": lambda _: {"Authorization": "nonsense"},
}


@pytest.mark.parametrize("reason", INVALID_SIGNATURES)
async def test_invalid_signature_is_refused_with_reason(client: Client, receiver: Receiver, reason: str) -> None:
    body = event()
    assert await post(client, body, INVALID_SIGNATURES[reason](body)) == (401, {"outcome": "refused", "reason": reason})
    assert receiver.leaves == []


async def test_missing_token_is_refused(client: Client) -> None:
    assert (await post(client, event(), {}))[0] == 401


async def test_body_without_valid_text_is_refused(client: Client) -> None:
    body = b"\xff\xfe"
    assert (await post(client, body, signed(body)))[0] == 401


async def test_ten_megabyte_body_is_refused_unread(client: Client, receiver: Receiver) -> None:
    body = b" " * (10 * 1024 * 1024)
    async with client.post(webhook.PATH, data=io.BytesIO(body), headers=signed(body)) as response:
        assert response.status == 413
        assert await response.json() == {"outcome": "too_large"}
    assert receiver.leaves == []


async def unfinished_body() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


@pytest.mark.parametrize("headers", [{}, INVALID_SIGNATURES["signature"](b"{")])
async def test_unsigned_body_is_refused_unread(client: Client, headers: dict[str, str]) -> None:
    async with asyncio.timeout(30):
        async with client.post(webhook.PATH, data=unfinished_body(), headers=headers) as response:
            assert response.status == 401


async def test_body_with_a_participant_token_is_refused_unread(client: Client) -> None:
    token = api.AccessToken(KEY, SECRET).with_identity("alice").with_grants(api.VideoGrants(room_join=True, room=ROOM))
    async with asyncio.timeout(30):
        headers = {"Authorization": token.to_jwt()}
        async with client.post(webhook.PATH, data=unfinished_body(), headers=headers) as response:
            assert (response.status, await response.json()) == (401, {"outcome": "refused", "reason": "hash"})


async def test_unfinished_body_is_refused_after_the_read_deadline() -> None:
    async with (
        asyncio.timeout(30),
        serving(Receiver(read_seconds=0.05)) as client,
        client.post(webhook.PATH, data=unfinished_body(), headers=signed(b"{}")) as response,
    ):
        assert (response.status, await response.json()) == (408, {"outcome": "too_slow"})


async def test_reads_beyond_the_limit_wait_for_a_free_place(client: Client, receiver: Receiver) -> None:
    reads = receiver.endpoint._reads  # noqa: SLF001 - a request that waits is visible nowhere else
    slow = [
        asyncio.ensure_future(client.post(webhook.PATH, data=unfinished_body(), headers=signed(b"{}")).__aenter__())
        for _ in range(CONCURRENT_READS)
    ]
    await until(reads.locked)
    body = event()
    waiting = asyncio.create_task(post(client, body, signed(body)))
    await until(lambda: reads._waiters)  # noqa: SLF001 - as above
    assert receiver.events == []
    for request in slow:
        request.cancel()
    assert await waiting == (200, {"outcome": "accepted"})


async def test_largest_event_is_accepted(client: Client) -> None:
    metadata = json.dumps({"metadata": "\u00fc" * 16384})
    participant = {"identity": "alice", "metadata": "x" * 64_000, "attributes": {"key": "x" * 64_000}}
    body = event(room={"name": ROOM, "metadata": metadata}, participant=participant)
    assert len(body) > 128 * 1024
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})


async def test_webhooks_are_refused_until_replica_accepts(client: Client, receiver: Receiver) -> None:
    receiver.accepting = False
    body = event()
    assert await post(client, body, signed(body)) == (503, {"outcome": "not_leader"})
    receiver.accepting = True
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})


async def test_remembered_event_ids_are_bounded(client: Client) -> None:
    bodies = [event(id=f"EV_{number}") for number in range(REMEMBERED_EVENTS + 1)]
    for body in bodies:
        await post(client, body, signed(body))
    assert await post(client, bodies[-1], signed(bodies[-1])) == (200, {"outcome": "duplicate"})
    assert await post(client, bodies[0], signed(bodies[0])) == (200, {"outcome": "accepted"})


async def test_server_serves_health_and_metrics(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        async with client.get(path) as response:
            assert response.status == 200, path


async def test_first_delivery_passes_participant_and_observes_lag(client: Client, receiver: Receiver) -> None:
    name = "voicesession_webhook_lag_seconds"
    before = REGISTRY.get_sample_value(f"{name}_sum") or 0.0, REGISTRY.get_sample_value(f"{name}_count") or 0.0
    body = event(createdAt=str(int(NOW) - 7), participant={"identity": "alice", "sid": "PA_alice"})
    await post(client, body, signed(body))
    assert receiver.events == [RoomEvent(ROOM, "participant_joined", "PA_alice")]
    assert REGISTRY.get_sample_value(f"{name}_sum") == before[0] + 7
    assert REGISTRY.get_sample_value(f"{name}_count") == before[1] + 1
    await post(client, body, signed(body))
    assert REGISTRY.get_sample_value(f"{name}_count") == before[1] + 1, "a repeated event is not observed"
