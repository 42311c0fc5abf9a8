"""The people's way in: tokens for sessions that are Ready, the session API, and who is let in."""

import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from hack.cluster import constants
from tests.support.cluster import gateway
from tests.support.cluster.gateway import Answer, Gateway, Replica, at_once, replica, token_body
from tests.support.cluster.kubectl import Json, Kube, KubectlError
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.participants.code_words import WISH, WISHED
from tests.support.participants.silent_participant import Holder
from tests.support.participants.speaker import Guest
from tests.support.polling import until

pytestmark = pytest.mark.cluster

BUSY = 20
"""What other tests beside this one may add to anything, in seconds."""
USERS, REQUESTS, LIVE = 50, 200, 4
"""Four fake agents at once is what a test that runs beside others may ask of the machine."""
RIGHTS = {
    ("create", "voicesessions"): True,
    ("delete", "voicesessions"): True,
    ("watch", "voicesessions"): True,
    ("list", "voiceagents"): True,
    ("patch", "voicesessions"): False,
    ("update", "voicesessions"): False,
    ("create", "voiceagents"): False,
    ("get", "secrets"): False,
    ("list", "pods"): False,
}


@pytest.fixture
def agent(trial: Trial) -> str:
    """A VoiceAgent that only joins."""
    trial.kube.apply(gateway.agent("joins", trial.namespace))
    return "joins"


@pytest.fixture
def people(trial: Trial, agent: str, tmp_path: Path) -> Iterator[Replica]:
    """A gateway of this test's own namespace."""
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path) as made:
        until(lambda: made.knows(agent), "the gateway knows the agent", BUSY)
        yield made


@pytest.fixture
def released_agent(kube: Kube, agent_66: Json) -> Iterator[str]:
    """The example agent without memory, where the release's own gateway looks for agents."""
    name = f"agent-66-{secrets.token_hex(3)}"
    kube.apply(copy_of(agent_66, name, constants.EXAMPLE_NAMESPACE, "memory"))
    yield name
    kube.delete("voiceagent", name, constants.EXAMPLE_NAMESPACE)


def sessions(trial: Trial) -> list[Json]:
    return trial.kube.all("voicesessions", trial.namespace)


def room_of(answer: Answer) -> str:
    claims = jwt.decode(answer.body["participant_token"], options={"verify_signature": False})
    return str(claims["video"]["room"])


@pytest.mark.speech
def test_a_token_of_the_releases_gateway_is_all_that_a_person_needs(
    kube: Kube, livekit: LiveKit, released_agent: str
) -> None:
    people = gateway.in_cluster(kube)
    until(lambda: people.knows(released_agent), "the gateway knows the agent", BUSY)
    answer = people.token(released_agent, participant_identity="alice")
    assert answer.status == 201, answer.body
    session = kube.session(answer.session, constants.EXAMPLE_NAMESPACE)
    assert session
    assert session.is_true("Ready")
    assert answer.body["server_url"] == session.status["room"]["url"]
    print(f"token request to Ready: {answer.seconds:.1f} s")
    try:
        with Guest(livekit, session) as alice:
            alice.come_with(answer.body["participant_token"])
            alice.meet()
            alice.greeted()
            assert alice.say(WISH, WISHED).told
            found = livekit.participants(session.room)["alice"]
            assert found.attributes["voicesession.session"] == answer.session
            assert not found.permission.can_update_metadata
    finally:
        assert people.ask("DELETE", f"/api/v1/sessions/{answer.session}").status == 204


def test_where_kind_maps_its_port_the_gateway_answers(kube: Kube) -> None:
    people = gateway.local()
    assert people.get("/readyz").body == {"ready": True}
    assert people.get("/config.json").body["defaultAgent"] == constants.EXAMPLE_AGENT
    assert people.get("/api/v1/openapi.json").body["openapi"] == "3.1.0"


def test_the_releases_gateway_has_its_rights_and_no_others(kube: Kube) -> None:
    told = {what: _can(kube, *what, constants.EXAMPLE_NAMESPACE) for what in RIGHTS}
    assert told == RIGHTS
    assert not _can(kube, "create", "voicesessions", constants.NAMESPACE)
    assert not _can(kube, "list", "voicesessions", "kube-system")


def test_a_repeated_call_makes_no_second_session_and_others_join_by_the_room_name(
    trial: Trial, people: Replica, agent: str
) -> None:
    alice = people.token(agent, room_name="kitchen", participant_identity="alice")
    again = people.token(agent, room_name="kitchen", participant_identity="alice")
    bob = people.token(agent, room_name="kitchen", participant_identity="bob", participant_attributes={"color": "blue"})
    assert {answer.status for answer in (alice, again, bob)} == {201}
    assert {answer.session for answer in (alice, again, bob)} == {alice.session}
    assert len(sessions(trial)) == 1

    session = trial.session(alice.session)
    holders = [
        Holder(a.body["server_url"], a.body["participant_token"], i) for a, i in ((alice, "alice"), (bob, "bob"))
    ]
    until(lambda: trial.session(alice.session).status["humans"] == 2, "both are seen", BUSY)
    there = trial.livekit.participants(session.room)
    assert there.keys() == {"alice", "bob", session.identity}
    own = {"voicesession.role": "human", "voicesession.session": alice.session}
    assert dict(there["bob"].attributes) == own | {"color": "blue"}
    for holder in holders:
        holder.leave()
    assert trial.finished(alice.session, BUSY).end_reason == "LastHumanLeft"
    trial.gone()

    after = people.token(agent, room_name="kitchen", participant_identity="alice")
    assert (after.status, after.session) == (201, f"{alice.session}-2")


def test_calls_at_once_at_two_replicas_make_one_session(
    trial: Trial, people: Replica, agent: str, tmp_path: Path
) -> None:
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path) as other:
        body = token_body(agent, room_name="kitchen", participant_identity="alice")
        answers = at_once([(people, body), (other, body)] * 5)
    assert {answer.status for answer in answers} == {201}, [a.body for a in answers if a.status != 201]
    assert len(sessions(trial)) == 1
    assert len({room_of(answer) for answer in answers}) == 1


def test_a_replica_dies_while_somebody_waits_and_the_next_call_finds_the_session(
    trial: Trial, people: Replica, agent: str, tmp_path: Path
) -> None:
    def ask() -> None:
        try:
            answers.append(dying.token(agent, room_name="kitchen", participant_identity="alice"))
        except OSError as lost:
            answers.append(lost)

    answers: list[Answer | OSError] = []
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path) as dying:
        waiting = threading.Thread(target=ask)
        waiting.start()
        until(lambda: sessions(trial), "a session", BUSY)
        dying.process.kill()
        waiting.join(BUSY)
    answer = people.token(agent, room_name="kitchen", participant_identity="alice")
    assert answer.status == 201
    assert [found["metadata"]["name"] for found in sessions(trial)] == [answer.session]


def test_200_requests_at_once_of_50_users_double_nothing_and_keep_within_limits(
    trial: Trial, people: Replica, agent: str, tmp_path: Path
) -> None:
    limits = {"CALLER_SESSIONS": str(LIVE), "USER_SESSIONS": "1", "CALLER_BURST": str(REQUESTS), "USER_BURST": "9"}
    replicas = [
        replica(trial.kube, trial.livekit, trial.namespace, tmp_path, **limits),
        replica(trial.kube, trial.livekit, trial.namespace, tmp_path, **limits),
    ]
    with replicas[0] as first, replicas[1] as second:
        answers = at_once(
            [
                ((first, second)[number % 2], token_body(agent, participant_identity=f"user-{number // 2 % USERS}"))
                for number in range(REQUESTS)
            ]
        )
    codes = Counter(str(a.status) if a.status == 201 else f"{a.status} {a.code}" for a in answers)
    seconds = {status: sorted(a.seconds for a in answers if a.status == status) for status in (201, 429)}
    told = {s: f"p50 {v[len(v) // 2]:.2f} s, p99 {v[int(len(v) * 0.99)]:.2f} s" for s, v in seconds.items() if v}
    print(f"{REQUESTS} requests at once: {dict(codes)}; {told}")

    assert codes.keys() == {"201", "429 TooManySessions"}
    assert all(answer.body["error"]["message"] for answer in answers if answer.status == 429)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status == 429)
    given = {answer.session for answer in answers if answer.status == 201}
    left = sessions(trial)
    assert {found["metadata"]["name"] for found in left} == given
    assert len(given) == LIVE
    assert len({found["spec"]["user"] for found in left}) == LIVE


def test_above_her_rate_a_caller_is_told_when_to_come_back(trial: Trial, agent: str, tmp_path: Path) -> None:
    slow = {"CALLER_BURST": "2", "CALLER_REQUESTS_PER_SECOND": "0.01"}
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path, **slow) as people:
        answers = [people.get("/api/v1/sessions") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[2].code, int(answers[2].headers["retry-after"]) > 60) == ("RateLimited", True)


def test_a_sessions_events_tell_its_life(trial: Trial, people: Replica, agent: str) -> None:
    made = people.post("/api/v1/sessions", {"agent": agent, "user": "alice", "roomName": "kitchen"})
    assert (made.status, made.body["phase"]) == (201, "Pending")
    told: list[Json] = []
    for event in people.events(made.session):
        if event["phase"] == "Ready" and "Ready" not in [one["phase"] for one in told]:
            assert people.ask("DELETE", f"/api/v1/sessions/{made.session}").status == 204
        told.append(event)
    assert [event["phase"] for event in told][-2:] == ["Ready", "Finished"]
    assert told[-1]["endReason"] == "Requested"
    assert people.get(f"/api/v1/sessions/{made.session}").code == "UnknownSession"
    trial.gone()


def test_a_session_that_cannot_start_says_why(trial: Trial, people: Replica) -> None:
    limits = {"startSeconds": 5}
    trial.kube.apply(gateway.agent("absent", trial.namespace, limits, FAKE_AGENT_JOIN="never"))
    until(lambda: people.knows("absent"), "the gateway knows the agent", BUSY)
    answer = people.token("absent")
    assert (answer.status, answer.code) == (504, "StartDeadline")
    assert "startSeconds (5)" in answer.body["error"]["message"]
    unknown = people.token("nobody")
    assert (unknown.status, unknown.code) == (404, "UnknownAgent")
    trial.gone()


def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(trial: Trial, people: Replica) -> None:
    trial.kube.apply(gateway.agent("quick", trial.namespace, {"joinSeconds": 2}))
    until(lambda: people.knows("quick"), "the gateway knows the agent", BUSY)
    with pytest.raises(OSError, match="timed out"):
        people.ask("POST", "/token", token_body("quick", room_name="kitchen"), seconds=0.2)
    (found,) = until(lambda: sessions(trial), "a session", BUSY)
    session = trial.finished(found["metadata"]["name"], 120)
    assert session.end_reason == "NobodyCame"
    trial.gone()


def test_callers_with_keys_see_their_own_sessions_only(trial: Trial, agent: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("shop", "bank"):
        (keys / name).write_text(f"a-key-of-the-{name}-0001")
    mode = {"AUTH_MODE": "keys", "KEYS_DIR": str(keys)}
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path, **mode) as open_to_keys:
        shop, bank = (Gateway(open_to_keys.url, f"a-key-of-the-{name}-0001") for name in ("shop", "bank"))
        until(lambda: shop.knows(agent), "the gateway knows the agent", BUSY)
        for nobody in (Gateway(open_to_keys.url), Gateway(open_to_keys.url, "a-key-of-nobody-00001")):
            refused = nobody.token(agent)
            assert (refused.status, refused.code, refused.headers["www-authenticate"]) == (
                401,
                "Unauthenticated",
                "Bearer",
            )
        assert sessions(trial) == []
        made = shop.post("/api/v1/sessions", {"agent": agent, "roomName": "kitchen"})
        assert made.status == 201
        assert bank.get(f"/api/v1/sessions/{made.session}").status == 404
        assert bank.get("/api/v1/sessions").body == []
        assert [found["name"] for found in shop.get("/api/v1/sessions").body] == [made.session]


def test_pages_of_allowed_origins_only_may_call(trial: Trial, agent: str, tmp_path: Path) -> None:
    allowed, stranger = "https://www.example.com", "https://stranger.example"
    with replica(trial.kube, trial.livekit, trial.namespace, tmp_path, CORS_ORIGINS=allowed) as people:
        for origin, status in ((allowed, 204), (stranger, 403)):
            asked = {"Origin": origin, "Access_Control_Request_Method": "POST"}
            preflight = people.ask("OPTIONS", "/token", **asked)
            assert preflight.status == status
            assert (preflight.headers.get("access-control-allow-origin") == allowed) == (origin == allowed)
        refused = people.post("/token", token_body(agent), Origin=stranger)
        assert (refused.status, refused.code) == (403, "OriginNotAllowed")
        assert people.get("/api/v1/agents", Origin=allowed).headers["access-control-allow-origin"] == allowed
    assert sessions(trial) == []


def _can(kube: Kube, verb: str, resource: str, namespace: str) -> bool:
    try:
        kube.run("auth", "can-i", verb, resource, "-n", namespace, "--as", gateway.service_account())
    except KubectlError:
        return False
    return True
