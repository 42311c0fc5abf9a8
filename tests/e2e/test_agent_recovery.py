"""Agents that are in the room and do not work: each fault is detected and repaired, or ends the session."""

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pytest

from hack.cluster import constants
from tests.support.cluster import nodes
from tests.support.cluster.kubectl import Json, Kube, Session
from tests.support.cluster.manifests import FAULTY_AGENT_IMAGE, RESET, copy_of, faulty_agent
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.observability.recovery_timer import Record, RecoveryTimer
from tests.support.observability.room_sampler import RoomSampler
from tests.support.participants.human import SilentHuman
from tests.support.participants.speaker import Speaker

pytestmark = pytest.mark.cluster

BUSY = 20
"""Delay in seconds on a machine with two busy cores."""
STUCK_SECONDS = 15 + BUSY
"""Missed heartbeats, SIGKILL, and a new job."""
SILENT_SECONDS = 30 + BUSY
"""Faults that appear in one turn or in two."""
SPOKEN_SECONDS = 30 + SILENT_SECONDS
"""The same from the first word to such an agent."""
CUT_SECONDS = 22 + 20 + 15 + 60 + BUSY
"""LiveKit's timeout, 20 s of absence, 15 s of a failing reset, and a new pod."""
CUT_REASONS = ("AgentDisconnected", "AgentAbsent")
"""The supervisor detects it in the pod, or the operator in LiveKit's participant list."""
ROOM_SECONDS = 30 + BUSY
"""The operator's poll detects the missing room if the webhook is lost."""
UNRECOVERABLE_SECONDS = 150
"""Three health restarts in one pod and no second pod."""
LAUNCHES = 6
"""The first job, three health restarts and a margin of two; more jobs in the room would be a hot loop."""
FAILING_TURNS = 3
"""Failing turns until a provider counts as failing."""
FAILING_TURN_SECONDS = 7
"""Seconds until the apology for a failing turn: two refused attempts within 2 s."""
LLM_PORT = {"name": "http", "port": 8000, "protocol": "TCP"}
SCRIPTED_LLM = "app.kubernetes.io/component=scripted-llm"
FAVORITE = "My favorite color is blue"
QUESTION = "What is my favorite color"
"""Sentences whose answers by the scripted model need the conversation."""
STOP = "Please stop talking for a moment"
LONG_SENTENCE = "My name is Alice, I live in Berlin, and I would like to know how many open tasks are left on the board"
"""A sentence of 6.4 s."""


class EngineFault(NamedTuple):
    """A fault of hack/images/trial-agent/faulty_speech.py, and the sentences of the human until its detection."""

    role: str
    fault: str
    reason: str
    sentence: str
    times: int
    within: float = 1.0


ENGINE_FAULTS = {
    # Detected 15 s after two sentences, 12 s of speech, without a transcript.
    "deaf": EngineFault("stt", "deaf", "AgentDeaf", LONG_SENTENCE, 3),
    "silent": EngineFault("tts", "silent", "ProviderFailing", "Test one", FAILING_TURNS, within=4),
    "recognition fails": EngineFault("stt", "failing", "ProviderFailing", "Test one", FAILING_TURNS, within=3),
    "speech fails": EngineFault("tts", "failing", "ProviderFailing", "Test one", FAILING_TURNS, within=4),
}

same_process = pytest.mark.xdist_group("agent-recovery")


def beside_unrecoverable(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test to run while another session becomes unrecoverable."""
    return same_process(pytest.mark.usefixtures("unrecoverable")(test))


def start_call(scenario: Scenario, agent_66: Json, **changes: object) -> Session:
    """Start a session with the example agent, without greeting and memory."""
    settings: Json = {"onLastHumanLeft": RESET, **changes}
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", "memory", **settings))
    return scenario.start_session("call", "agent-66", grace=60, reconnect_grace=60)


@pytest.fixture(scope="module")
def unrecoverable(kube: Kube, livekit: LiveKit) -> Iterator[tuple[Scenario, RoomSampler]]:
    """Start a session with an agent that no restart repairs; it ends after minutes, so its test is the last one."""
    namespace = f"unrecoverable-{secrets.token_hex(3)}"
    kube.run("create", "namespace", namespace)
    scenario = Scenario(kube, livekit, namespace)
    scenario.kube.apply(faulty_agent("stuck", namespace, "stuck"))
    session = scenario.start_session("call", "stuck", max_replacements=0)
    with RoomSampler(livekit, session.room, session.identity, period=0.25) as agents:
        yield scenario, agents
    kube.run("delete", "namespace", namespace, "--wait=false")


@beside_unrecoverable
def test_stopped_job_is_replaced(scenario: Scenario, agent_66: Json, record_property: Record) -> None:
    session = start_call(scenario, agent_66)
    scenario.join_human("call")
    old = scenario.agent_sid(session)

    nodes.stop_agent_job(scenario.kube, session.pod, scenario.namespace)

    recovery = RecoveryTimer(scenario, "call", "AgentStuck", record=record_property)
    recovery.wait_until_detected(STUCK_SECONDS)
    recovery.wait_until_recovered(old, STUCK_SECONDS)
    after = scenario.session("call")
    assert (after.pod, after.status["replacements"]) == (session.pod, 0)
    assert after.status["humans"] == 1


@pytest.mark.speech
def test_job_with_blocked_event_loop_is_replaced(scenario: Scenario, record_property: Record) -> None:
    scenario.kube.apply(faulty_agent("blocking", scenario.namespace, "blocking"))
    session = scenario.start_session("call", "blocking", grace=60)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        old = alice.wait_for_agent()
        alice.say_once(STOP)

        recovery = RecoveryTimer(scenario, "call", "AgentStuck", record=record_property)
        recovery.wait_until_detected(STUCK_SECONDS)
        recovery.wait_until_recovered(old, STUCK_SECONDS)
        alice.say("Test one", "test", repeat_unanswered=True)
    assert scenario.session("call").pod == session.pod


@pytest.mark.slow
@pytest.mark.speech
def test_unanswering_language_model_is_reported_and_recovers(
    scenario: Scenario, agent_66: Json, record_property: Record
) -> None:
    scenario.kube.apply(_service(scenario.namespace))
    model = {**agent_66["spec"]["llm"], "baseURL": f"http://llm.{scenario.namespace}:8000/v1"}
    session = start_call(scenario, agent_66, llm=model)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        job = alice.wait_for_agent()
        recovery = RecoveryTimer(scenario, "call", "ProviderFailing", record=record_property)
        recovery.detect_by_speaking(
            lambda: alice.say_once("Test one", within=FAILING_TURN_SECONDS), FAILING_TURNS, SPOKEN_SECONDS
        )

        assert any("cannot answer" in answer.transcript.lower() for answer in alice.answers), alice.answers

        (scripted,) = scenario.kube.all("pods", constants.NAMESPACE, SCRIPTED_LLM)
        scenario.kube.apply(_endpoint(scenario.namespace, scripted["status"]["podIP"]))

        alice.say("Test one", "test", repeat_unanswered=True)
        recovery.wait_until_recovered("", SILENT_SECONDS)
        assert scenario.agent_sid(scenario.session("call")) == job, "another job has the same provider"
    assert scenario.session("call").room == session.room


@pytest.mark.slow
@pytest.mark.speech
def test_muted_agent_is_replaced_and_keeps_conversation(
    scenario: Scenario, agent_66: Json, record_property: Record
) -> None:
    session = start_call(scenario, agent_66)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        old = alice.wait_for_agent()
        alice.say(FAVORITE, "blue")
        scenario.livekit.mute(session.room, session.identity)

        recovery = RecoveryTimer(scenario, "call", "AgentMute", record=record_property)
        recovery.detect_by_speaking(lambda: alice.say_once("Test one", within=5), 1, SPOKEN_SECONDS)
        recovery.wait_until_recovered(old, SILENT_SECONDS)
        alice.say(QUESTION, "blue", repeat_unanswered=True)
    assert scenario.session("call").pod == session.pod


@pytest.mark.slow
@pytest.mark.speech
@pytest.mark.parametrize("name", ENGINE_FAULTS)
def test_faulty_engine_is_detected_and_recovers(
    scenario: Scenario, agent_66: Json, name: str, record_property: Record
) -> None:
    fault = ENGINE_FAULTS[name]
    engine: Json = {fault.role: {"provider": "faulty", "options": {"fault": fault.fault}}}
    session = start_call(scenario, agent_66, pod={"image": FAULTY_AGENT_IMAGE}, **engine)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        old = alice.wait_for_agent()
        recovery = RecoveryTimer(scenario, "call", fault.reason, record=record_property)
        speak = partial(alice.say_once, fault.sentence, within=fault.within)
        recovery.detect_by_speaking(speak, fault.times, SPOKEN_SECONDS)
        if fault.reason == "ProviderFailing":
            alice.say("Test one", "test", repeat_unanswered=True)
            recovery.wait_until_recovered("", SILENT_SECONDS)
            assert scenario.agent_sid(scenario.session("call")) == old, "another job has the same provider"
        else:
            recovery.wait_until_recovered(old, SILENT_SECONDS)
            alice.say("Test one", "test", repeat_unanswered=True)
        after = scenario.session("call")
        assert (after.pod, after.status["humans"]) == (session.pod, 1)


@beside_unrecoverable
def test_agent_cut_off_from_livekit_is_replaced(scenario: Scenario, agent_66: Json, record_property: Record) -> None:
    session = start_call(scenario, agent_66)
    scenario.join_human("call")
    old = scenario.agent_sid(session)
    with nodes.cut_off(scenario.kube, session.pod, scenario.namespace):
        recovery = RecoveryTimer(scenario, "call", *CUT_REASONS, record=record_property)
        recovery.wait_until_detected(CUT_SECONDS)
        recovery.wait_until_recovered(old, CUT_SECONDS)
    after = scenario.session("call")
    assert after.room == session.room
    assert after.status["humans"] == 1
    assert after.status["replacements"] <= 1


@beside_unrecoverable
def test_deleted_room_is_recreated_with_agent(scenario: Scenario, agent_66: Json, record_property: Record) -> None:
    session = start_call(scenario, agent_66)
    scenario.join_human("call")
    old = scenario.agent_sid(session)

    scenario.livekit.delete(session.room)

    recovery = RecoveryTimer(scenario, "call", "RoomRecreated", record=record_property)
    recovery.wait_until_detected(ROOM_SECONDS)
    recovery.wait_until_recovered(old, ROOM_SECONDS)
    after = scenario.session("call")
    assert (after.room, after.pod) == (session.room, session.pod)
    SilentHuman(scenario.livekit, "call", scenario.namespace, session.room, "bob").wait_until_joined().leave()


@same_process
def test_unrecoverable_session_ends(unrecoverable: tuple[Scenario, RoomSampler]) -> None:
    scenario, agents = unrecoverable

    session = scenario.wait_until_finished("call", UNRECOVERABLE_SECONDS)

    assert session.end_reason == "AgentLost"
    scenario.wait_for_event("call", "AgentStuck")
    seen = agents.seen_sids(0, time.time())
    assert 1 < len(seen) <= LAUNCHES, seen
    scenario.wait_until_empty()


def _service(namespace: str) -> Json:
    """Return the Service `llm` without endpoints."""
    metadata = {"name": "llm", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [LLM_PORT]}}


def _endpoint(namespace: str, address: str) -> Json:
    """Return an endpoint of the Service; the Service keeps its address, so that no DNS cache is outdated."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "llm", "namespace": namespace, "labels": {"kubernetes.io/service-name": "llm"}},
        "addressType": "IPv4",
        "ports": [LLM_PORT],
        "endpoints": [{"addresses": [address]}],
    }
