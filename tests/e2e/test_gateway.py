"""The gateway: tokens for Ready sessions, the session API, authentication, quotas and rate limits."""

import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from hack.cluster import constants
from tests.support.cluster import gateway
from tests.support.cluster.gateway import Answer, Gateway, Replica, replica, request_concurrently, token_body
from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.participants.code_words import REQUEST, REQUEST_KEYWORD
from tests.support.participants.silent_participant import SilentParticipant
from tests.support.participants.speaker import Speaker
from tests.support.polling import until

pytestmark = pytest.mark.cluster

BUSY = 20
"""Delay in seconds by tests that run at the same time."""
USERS, REQUESTS, LIVE = 50, 200, 4
"""Users, requests and allowed live sessions; the machine can start four fake agents beside another test."""
RIGHTS = {
    ("create", "voicesessions"): True,
    ("delete", "voicesessions"): True,
    ("watch", "voicesessions"): True,
    ("list", "voiceagents"): True,
    ("patch", "voicesessions"): True,
    ("update", "voicesessions"): False,
    ("create", "voiceagents"): False,
    ("get", "secrets"): False,
    ("list", "pods"): False,
}


@pytest.fixture
def agent(scenario: Scenario) -> str:
    """Create a VoiceAgent that joins and does nothing else."""
    scenario.kube.apply(gateway.agent("joins", scenario.namespace))
    return "joins"


@pytest.fixture
def client(scenario: Scenario, agent: str, tmp_path: Path) -> Iterator[Replica]:
    """Return a client of a gateway for the test's namespace."""
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path) as made:
        until(lambda: made.lists_agent(agent), "the gateway lists the agent", BUSY)
        yield made


@pytest.fixture
def released_agent(kube: Kube, agent_66: Json) -> Iterator[str]:
    """Create the example agent without memory in the namespace of the release's gateway."""
    name = f"agent-66-{secrets.token_hex(3)}"
    kube.apply(copy_of(agent_66, name, constants.EXAMPLE_NAMESPACE, "memory"))
    yield name
    kube.delete("voiceagent", name, constants.EXAMPLE_NAMESPACE)


def sessions(scenario: Scenario) -> list[Json]:
    """Return the VoiceSessions of the namespace."""
    return scenario.kube.all("voicesessions", scenario.namespace)


def room_of(answer: Answer) -> str:
    """Return the room in the answer's token."""
    claims = jwt.decode(answer.body["participant_token"], options={"verify_signature": False})
    return str(claims["video"]["room"])


@pytest.mark.speech
def test_token_of_release_gateway_admits_human_to_ready_session(
    kube: Kube, livekit: LiveKit, released_agent: str
) -> None:
    client = gateway.in_cluster(kube)
    until(lambda: client.lists_agent(released_agent), "the gateway lists the agent", BUSY)
    answer = client.token(released_agent, participant_identity="alice")
    assert answer.status == 201, answer.body
    session = kube.session(answer.session, constants.EXAMPLE_NAMESPACE)
    assert session
    assert session.is_true("Ready")
    assert answer.body["server_url"] == session.status["room"]["url"]
    print(f"token request to Ready: {answer.seconds:.1f} s")
    try:
        with Speaker(livekit, session) as alice:
            alice.join_with_token(answer.body["participant_token"])
            alice.wait_for_agent()
            alice.wait_for_greeting()
            assert alice.say(REQUEST, REQUEST_KEYWORD).is_expected
            found = livekit.participants(session.room)["alice"]
            assert found.attributes["voicesession.session"] == answer.session
            assert not found.permission.can_update_metadata
    finally:
        assert client.request("DELETE", f"/api/v1/sessions/{answer.session}").status == 204


def test_gateway_answers_on_mapped_host_port(kube: Kube) -> None:
    client = gateway.local()
    assert client.get("/readyz").body == {"ready": True}
    assert client.get("/config.json").body["defaultAgent"] == constants.EXAMPLE_AGENT
    assert client.get("/api/v1/openapi.json").body["openapi"] == "3.1.0"


def test_gateway_service_account_has_minimal_rights(kube: Kube) -> None:
    granted = {right: _can(kube, *right, constants.EXAMPLE_NAMESPACE) for right in RIGHTS}
    assert granted == RIGHTS
    assert not _can(kube, "create", "voicesessions", constants.NAMESPACE)
    assert not _can(kube, "list", "voicesessions", "kube-system")


def test_repeated_request_joins_same_session_by_room_name(scenario: Scenario, client: Replica, agent: str) -> None:
    alice = client.token(agent, room_name="kitchen", participant_identity="alice")
    again = client.token(agent, room_name="kitchen", participant_identity="alice")
    bob = client.token(agent, room_name="kitchen", participant_identity="bob", participant_attributes={"color": "blue"})
    assert {answer.status for answer in (alice, again, bob)} == {201}
    assert {answer.session for answer in (alice, again, bob)} == {alice.session}
    assert len(sessions(scenario)) == 1

    session = scenario.session(alice.session)
    participants = [
        SilentParticipant(a.body["server_url"], a.body["participant_token"], i)
        for a, i in ((alice, "alice"), (bob, "bob"))
    ]
    until(lambda: scenario.session(alice.session).status["humans"] == 2, "both humans are counted", BUSY)
    there = scenario.livekit.participants(session.room)
    assert there.keys() == {"alice", "bob", session.identity}
    own = {"voicesession.role": "human", "voicesession.session": alice.session}
    assert dict(there["bob"].attributes) == own | {"color": "blue"}
    for participant in participants:
        participant.leave()
    assert scenario.wait_until_finished(alice.session, BUSY).end_reason == "LastHumanLeft"
    scenario.wait_until_empty()

    after = client.token(agent, room_name="kitchen", participant_identity="alice")
    assert (after.status, after.session) == (201, f"{alice.session}-2")


def test_concurrent_requests_to_two_replicas_create_single_session(
    scenario: Scenario, client: Replica, agent: str, tmp_path: Path
) -> None:
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path) as other:
        body = token_body(agent, room_name="kitchen", participant_identity="alice")
        answers = request_concurrently([(client, body), (other, body)] * 5)
    assert {answer.status for answer in answers} == {201}, [a.body for a in answers if a.status != 201]
    assert len(sessions(scenario)) == 1
    assert len({room_of(answer) for answer in answers}) == 1


def test_request_after_replica_death_finds_same_session(
    scenario: Scenario, client: Replica, agent: str, tmp_path: Path
) -> None:
    def ask() -> None:
        try:
            answers.append(doomed.token(agent, room_name="kitchen", participant_identity="alice"))
        except OSError as error:
            answers.append(error)

    answers: list[Answer | OSError] = []
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path) as doomed:
        waiting = threading.Thread(target=ask)
        waiting.start()
        until(lambda: sessions(scenario), "a session", BUSY)
        doomed.process.kill()
        waiting.join(BUSY)
    answer = client.token(agent, room_name="kitchen", participant_identity="alice")
    assert answer.status == 201
    assert [found["metadata"]["name"] for found in sessions(scenario)] == [answer.session]


def test_200_concurrent_requests_of_50_users_respect_limits(
    scenario: Scenario, client: Replica, agent: str, tmp_path: Path
) -> None:
    limits = {"CALLER_SESSIONS": str(LIVE), "USER_SESSIONS": "1", "CALLER_BURST": str(REQUESTS), "USER_BURST": "9"}
    replicas = [
        replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path, **limits),
        replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path, **limits),
    ]
    with replicas[0] as first, replicas[1] as second:
        answers = request_concurrently(
            [
                ((first, second)[number % 2], token_body(agent, participant_identity=f"user-{number // 2 % USERS}"))
                for number in range(REQUESTS)
            ]
        )
    codes = Counter(str(a.status) if a.status == 201 else f"{a.status} {a.code}" for a in answers)
    seconds = {status: sorted(a.seconds for a in answers if a.status == status) for status in (201, 429)}
    percentiles = {s: f"p50 {v[len(v) // 2]:.2f} s, p99 {v[int(len(v) * 0.99)]:.2f} s" for s, v in seconds.items() if v}
    print(f"{REQUESTS} concurrent requests: {dict(codes)}; {percentiles}")

    assert codes.keys() == {"201", "429 TooManySessions"}
    assert all(answer.body["error"]["message"] for answer in answers if answer.status == 429)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status == 429)
    given = {answer.session for answer in answers if answer.status == 201}
    left = sessions(scenario)
    assert {found["metadata"]["name"] for found in left} == given
    assert len(given) == LIVE
    assert len({found["spec"]["user"] for found in left}) == LIVE


def test_rate_limited_caller_gets_retry_after(scenario: Scenario, agent: str, tmp_path: Path) -> None:
    slow = {"CALLER_BURST": "2", "CALLER_REQUESTS_PER_SECOND": "0.01"}
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path, **slow) as client:
        answers = [client.get("/api/v1/sessions") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[2].code, int(answers[2].headers["retry-after"]) > 60) == ("RateLimited", True)


def test_session_events_report_phases_until_finished(scenario: Scenario, client: Replica, agent: str) -> None:
    made = client.post("/api/v1/sessions", {"agent": agent, "user": "alice", "roomName": "kitchen"})
    assert (made.status, made.body["phase"]) == (201, "Pending")
    events: list[Json] = []
    for event in client.events(made.session):
        if event["phase"] == "Ready" and "Ready" not in [earlier["phase"] for earlier in events]:
            assert client.request("DELETE", f"/api/v1/sessions/{made.session}").status == 204
        events.append(event)
    assert [event["phase"] for event in events][-2:] == ["Ready", "Finished"]
    assert events[-1]["endReason"] == "Requested"
    assert client.get(f"/api/v1/sessions/{made.session}").code == "UnknownSession"
    scenario.wait_until_empty()


def test_failed_start_returns_reason(scenario: Scenario, client: Replica) -> None:
    limits = {"startSeconds": 5}
    scenario.kube.apply(gateway.agent("absent", scenario.namespace, limits, FAKE_AGENT_JOIN="never"))
    until(lambda: client.lists_agent("absent"), "the gateway lists the agent", BUSY)
    answer = client.token("absent")
    assert (answer.status, answer.code) == (504, "StartDeadline")
    assert "startSeconds (5)" in answer.body["error"]["message"]
    unknown = client.token("nobody")
    assert (unknown.status, unknown.code) == (404, "UnknownAgent")
    scenario.wait_until_empty()


def test_abandoned_request_leaves_no_session(scenario: Scenario, client: Replica) -> None:
    scenario.kube.apply(gateway.agent("quick", scenario.namespace, {"joinSeconds": 2}))
    until(lambda: client.lists_agent("quick"), "the gateway lists the agent", BUSY)
    with pytest.raises(OSError, match="timed out"):
        client.request("POST", "/token", token_body("quick", room_name="kitchen"), seconds=0.2)
    (found,) = until(lambda: sessions(scenario), "a session", BUSY)
    session = scenario.wait_until_finished(found["metadata"]["name"], 120)
    assert session.end_reason == "NobodyCame"
    scenario.wait_until_empty()


def test_callers_with_keys_see_only_own_sessions(scenario: Scenario, agent: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("shop", "bank"):
        (keys / name).write_text(f"a-key-of-the-{name}-0001")
    mode = {"AUTH_MODE": "keys", "KEYS_DIR": str(keys)}
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path, **mode) as keyed:
        shop, bank = (Gateway(keyed.url, f"a-key-of-the-{name}-0001") for name in ("shop", "bank"))
        until(lambda: shop.lists_agent(agent), "the gateway lists the agent", BUSY)
        for stranger in (Gateway(keyed.url), Gateway(keyed.url, "a-key-of-nobody-00001")):
            refused = stranger.token(agent)
            assert (refused.status, refused.code, refused.headers["www-authenticate"]) == (
                401,
                "Unauthenticated",
                "Bearer",
            )
        assert sessions(scenario) == []
        made = shop.post("/api/v1/sessions", {"agent": agent, "roomName": "kitchen"})
        assert made.status == 201
        assert bank.get(f"/api/v1/sessions/{made.session}").status == 404
        assert bank.get("/api/v1/sessions").body == []
        assert [found["name"] for found in shop.get("/api/v1/sessions").body] == [made.session]


def test_only_allowed_origins_may_call(scenario: Scenario, agent: str, tmp_path: Path) -> None:
    allowed, stranger = "https://www.example.com", "https://stranger.example"
    with replica(scenario.kube, scenario.livekit, scenario.namespace, tmp_path, CORS_ORIGINS=allowed) as client:
        for origin, status in ((allowed, 204), (stranger, 403)):
            headers = {"Origin": origin, "Access_Control_Request_Method": "POST"}
            preflight = client.request("OPTIONS", "/token", **headers)
            assert preflight.status == status
            assert (preflight.headers.get("access-control-allow-origin") == allowed) == (origin == allowed)
        refused = client.post("/token", token_body(agent), Origin=stranger)
        assert (refused.status, refused.code) == (403, "OriginNotAllowed")
        assert client.get("/api/v1/agents", Origin=allowed).headers["access-control-allow-origin"] == allowed
    assert sessions(scenario) == []


def _can(kube: Kube, verb: str, resource: str, namespace: str) -> bool:
    try:
        kube.run("auth", "can-i", verb, resource, "-n", namespace, "--as", gateway.service_account())
    except KubectlError:
        return False
    return True
