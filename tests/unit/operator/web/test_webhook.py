"""The webhook receiver, spoken to over HTTP with bodies signed as LiveKit signs them."""

import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from livekit import api
from voicesession_operator.domain.observed import LeaveHint, LeaveReason
from voicesession_operator.metrics import REGISTRY
from voicesession_operator.web import webhook
from voicesession_operator.web.server import Probes, WebServer
from voicesession_operator.web.webhook import Notice, Webhook

from tests.support.builders import ROOM

KEY, SECRET = "key", "0123456789abcdef0123456789abcdef"
NOW = 1_763_853_600.0

Client = TestClient[Any, Any]


class Receiver:
    """A receiver whose surroundings a test decides."""

    def __init__(self) -> None:
        self.accepting = True
        self.told: list[tuple[str, LeaveHint | None]] = []
        self.notices: list[Notice] = []
        self.webhook = Webhook(KEY, SECRET, lambda: self.accepting, self.notify, lambda: NOW)

    def notify(self, notice: Notice) -> bool:
        self.notices.append(notice)
        self.told.append((notice.room, notice.leave))
        return notice.room == ROOM


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def client(receiver: Receiver) -> AsyncIterator[Client]:
    probes = Probes(lambda: True, lambda: True, lambda: 0.0, lambda: None)
    server = WebServer(0, probes, receiver.webhook)
    app = server._runner.app
    async with TestClient(TestServer(app)) as made:
        yield made


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


def counted(event_name: str, outcome: str) -> float:
    labels = {"event": event_name, "outcome": outcome}
    return REGISTRY.get_sample_value("voicesession_webhooks_total", labels) or 0.0


async def test_an_event_of_a_known_room_is_passed_on(client: Client, receiver: Receiver) -> None:
    before = counted("participant_joined", "accepted")
    body = event()
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})
    assert receiver.told == [(ROOM, None)]
    assert counted("participant_joined", "accepted") == before + 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("CLIENT_INITIATED", LeaveReason.LEFT),
        ("CONNECTION_TIMEOUT", LeaveReason.CONNECTION_LOST),
        ("FROM_THE_FUTURE", LeaveReason.UNKNOWN),
    ],
)
async def test_a_departure_is_a_hint(client: Client, receiver: Receiver, reason: str, expected: LeaveReason) -> None:
    body = event("participant_left", participant={"identity": "alice", "disconnectReason": reason})
    await post(client, body, signed(body))
    assert receiver.told == [(ROOM, LeaveHint("alice", expected, NOW))]


async def test_an_agents_departure_is_no_hint(client: Client, receiver: Receiver) -> None:
    body = event("participant_left", participant={"identity": "agent-66", "kind": "AGENT"})
    await post(client, body, signed(body))
    assert receiver.told == [(ROOM, None)]


async def test_an_agent_that_joins_is_looked_at_at_once(client: Client, receiver: Receiver) -> None:
    body = event(participant={"identity": "agent-66", "kind": "AGENT"})
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})
    assert receiver.told == [(ROOM, None)]


async def test_a_replay_has_no_effect(client: Client, receiver: Receiver) -> None:
    body = event()
    await post(client, body, signed(body))
    assert await post(client, body, signed(body)) == (200, {"outcome": "duplicate"})
    assert len(receiver.told) == 1


async def test_an_unknown_room_is_none_of_our_business(client: Client) -> None:
    body = event(room={"name": "somebody-elses"})
    assert await post(client, body, signed(body)) == (200, {"outcome": "unknown_room"})


async def test_other_events_are_ignored(client: Client, receiver: Receiver) -> None:
    body = event("track_published")
    assert await post(client, body, signed(body)) == (200, {"outcome": "ignored"})
    assert receiver.told == []


async def test_a_stale_event_is_refused(client: Client, receiver: Receiver) -> None:
    body = event(createdAt=str(int(NOW - 400)))
    assert await post(client, body, signed(body)) == (401, {"outcome": "refused", "reason": "stale"})
    assert receiver.told == []


FORGERIES: dict[str, Callable[[bytes], dict[str, str]]] = {
    "signature": lambda body: signed(body, secret="f" * 32),
    "issuer": lambda body: signed(body, key="another"),
    "expired": lambda body: signed(body, seconds=-120),
    "hash": lambda body: signed(body + b" "),
    "malformed": lambda _: {"Authorization": "nonsense"},
}


@pytest.mark.parametrize("reason", FORGERIES)
async def test_a_forgery_is_refused(client: Client, receiver: Receiver, reason: str) -> None:
    body = event()
    assert await post(client, body, FORGERIES[reason](body)) == (401, {"outcome": "refused", "reason": reason})
    assert receiver.told == []


async def test_no_token_is_refused(client: Client) -> None:
    assert (await post(client, event(), {}))[0] == 401


async def test_what_is_not_text_is_refused(client: Client) -> None:
    body = b"\xff\xfe"
    assert (await post(client, body, signed(body)))[0] == 401


async def test_ten_megabytes_are_not_read(client: Client, receiver: Receiver) -> None:
    body = b" " * (10 * 1024 * 1024)
    async with client.post(webhook.PATH, data=io.BytesIO(body), headers=signed(body)) as response:
        assert response.status == 413
        assert await response.json() == {"outcome": "too_large"}
    assert receiver.told == []


async def test_only_the_leader_takes_webhooks(client: Client, receiver: Receiver) -> None:
    receiver.accepting = False
    body = event()
    assert await post(client, body, signed(body)) == (503, {"outcome": "not_leader"})
    receiver.accepting = True
    assert await post(client, body, signed(body)) == (200, {"outcome": "accepted"})


async def test_memory_of_events_is_bounded(client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "REMEMBERED_EVENTS", 3)
    for number in range(10):
        body = event(id=f"EV_{number}")
        await post(client, body, signed(body))
    assert list(receiver.webhook._seen) == ["EV_7", "EV_8", "EV_9"]


async def test_health_and_metrics_are_served(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        async with client.get(path) as response:
            assert response.status == 200, path


async def test_who_came_is_told_and_how_old_the_news_is(client: Client, receiver: Receiver) -> None:
    name = "voicesession_webhook_lag_seconds"
    before = REGISTRY.get_sample_value(f"{name}_sum") or 0.0, REGISTRY.get_sample_value(f"{name}_count") or 0.0
    body = event(createdAt=str(int(NOW) - 7), participant={"identity": "alice", "sid": "PA_alice"})
    await post(client, body, signed(body))
    assert receiver.notices == [Notice(ROOM, "participant_joined", "PA_alice")]
    assert REGISTRY.get_sample_value(f"{name}_sum") == before[0] + 7
    assert REGISTRY.get_sample_value(f"{name}_count") == before[1] + 1
    await post(client, body, signed(body))
    assert REGISTRY.get_sample_value(f"{name}_count") == before[1] + 1, "a repeated event is no news"
