"""Agents that are there and of no use: every fault is found and mended by itself, or it ends the session."""

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pytest

from hack.cluster import constants
from tests.support.cluster import nodes
from tests.support.cluster.kubectl import Json, Kube, Session
from tests.support.cluster.manifests import RESET, TRIAL_IMAGE, copy_of, trial_agent
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.observability.recovery_timer import Healing, Record
from tests.support.observability.room_sampler import Attendance
from tests.support.participants.human import Visitor
from tests.support.participants.speaker import Guest

pytestmark = pytest.mark.cluster

BUSY = 20
"""What a machine with two busy cores may add to any of these, in seconds."""
STUCK_SECONDS = 15 + BUSY
"""Missed heartbeats, SIGKILL, a new job."""
SILENT_SECONDS = 30 + BUSY
"""Faults that show only in a turn, or in two."""
SPOKEN_SECONDS = 30 + SILENT_SECONDS
"""The same from the first word that is said to such an agent."""
CUT_SECONDS = 22 + 5 + 10 + 60 + BUSY
"""LiveKit notices, 5 s of absence, 10 s of a reset that cannot work, and a new pod."""
CUT_REASONS = ("AgentDisconnected", "AgentAbsent")
"""Whoever notices first: the supervisor from inside, or the operator by LiveKit's list."""
ROOM_SECONDS = 30 + BUSY
"""The operator's poll finds the room gone where the webhook is lost."""
HOPELESS_SECONDS = 150
"""Three remedies in one pod and no second pod."""
LAUNCHES = 6
"""The first job and three remedies, with two to spare: more in the room would be a hot loop."""
FAILING_TURNS = 3
"""After which a provider counts as failing."""
TURN_SECONDS = 7
"""A failing turn: three refused tries within 4 s."""
LLM_PORT = {"name": "http", "port": 8000, "protocol": "TCP"}
SCRIPTED_LLM = "app.kubernetes.io/component=scripted-llm"
STOP = "Please stop talking for a moment"
LONG_SENTENCE = "My name is Alice, I live in Berlin, and I would like to know how many open tasks are left on the board"
"""6.4 s of speech."""


class Ailment(NamedTuple):
    """What hack/images/trial-agent/faulty_speech.py does to one engine, and what she says until it is found."""

    role: str
    fault: str
    reason: str
    sentence: str
    times: int
    within: float = 1.0


AILMENTS = {
    # 10 s of speech without a word heard; the last of these is said to the next job
    "deaf": Ailment("stt", "deaf", "AgentDeaf", LONG_SENTENCE, 3),
    # 4 s of the agent's own speech that nobody hears, which one answer has; the second is said to the next job
    "silent": Ailment("tts", "silent", "AgentMute", "Test one", 2, within=8),
    "recognition fails": Ailment("stt", "failing", "ProviderFailing", "Test one", FAILING_TURNS, within=3),
    "speech fails": Ailment("tts", "failing", "ProviderFailing", "Test one", FAILING_TURNS, within=4),
}

in_one_process = pytest.mark.xdist_group("stuck")


def meanwhile(test: Callable[..., None]) -> Callable[..., None]:
    """A test that goes on while another session proves to be hopeless."""
    return in_one_process(pytest.mark.usefixtures("hopeless")(test))


def listening(trial: Trial, agent_66: Json, **changes: object) -> Session:
    """The example without memory, which says only what it is asked."""
    settings: Json = {"onLastHumanLeft": RESET, **changes}
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", "memory", **settings))
    return trial.ready("call", "agent-66", grace=60, reconnect_grace=60)


@pytest.fixture(scope="module")
def hopeless(kube: Kube, livekit: LiveKit) -> Iterator[tuple[Trial, Attendance]]:
    """An agent that no new job can mend, begun before the others of its group: it needs minutes, its test is last."""
    namespace = f"hopeless-{secrets.token_hex(3)}"
    kube.run("create", "namespace", namespace)
    trial = Trial(kube, livekit, namespace)
    trial.kube.apply(trial_agent("stuck", namespace, "stuck"))
    session = trial.ready("call", "stuck", max_replacements=0)
    with Attendance(livekit, session.room, session.identity, period=0.25) as agents:
        yield trial, agents
    kube.run("delete", "namespace", namespace, "--wait=false")


@meanwhile
def test_a_stopped_job_is_replaced(trial: Trial, agent_66: Json, record_property: Record) -> None:
    session = listening(trial, agent_66)
    trial.visit("call")
    old = trial.agent_sid(session)

    nodes.stop_agent_job(trial.kube, session.pod, trial.namespace)

    healing = Healing(trial, "call", "AgentStuck", record=record_property)
    healing.detected(STUCK_SECONDS)
    healing.healed(old, STUCK_SECONDS)
    after = trial.session("call")
    assert (after.pod, after.status["replacements"]) == (session.pod, 0)
    assert after.status["humans"] == 1


@pytest.mark.speech
def test_a_blocked_event_loop_is_replaced(trial: Trial, record_property: Record) -> None:
    trial.kube.apply(trial_agent("blocking", trial.namespace, "blocking"))
    session = trial.ready("call", "blocking", grace=60)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        old = alice.meet()
        alice.mutter(STOP)

        healing = Healing(trial, "call", "AgentStuck", record=record_property)
        healing.detected(STUCK_SECONDS)
        healing.healed(old, STUCK_SECONDS)
        alice.say("Test one", "test")
    assert trial.session("call").pod == session.pod


@pytest.mark.speech
def test_a_language_model_that_does_not_answer(trial: Trial, agent_66: Json, record_property: Record) -> None:
    trial.kube.apply(_language_model(trial.namespace))
    model = {**agent_66["spec"]["llm"], "baseURL": f"http://llm.{trial.namespace}:8000/v1"}
    session = listening(trial, agent_66, llm=model)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        alice.meet()
        healing = Healing(trial, "call", "ProviderFailing", record=record_property)
        healing.detected_by(lambda: alice.mutter("Test one", within=TURN_SECONDS), FAILING_TURNS, SPOKEN_SECONDS)

        (scripted,) = trial.kube.all("pods", constants.NAMESPACE, SCRIPTED_LLM)
        trial.kube.apply(_endpoint(trial.namespace, scripted["status"]["podIP"]))

        alice.say("Test one", "test")
        healing.healed("", SILENT_SECONDS)
    assert trial.session("call").room == session.room


@pytest.mark.speech
def test_an_agent_that_speaks_and_is_not_heard(trial: Trial, agent_66: Json, record_property: Record) -> None:
    session = listening(trial, agent_66)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        old = alice.meet()
        alice.say("Test one", "test")
        trial.livekit.mute(session.room, session.identity)

        healing = Healing(trial, "call", "AgentMute", record=record_property)
        healing.detected_by(lambda: alice.mutter("Test one", within=5), 1, SPOKEN_SECONDS)
        healing.healed(old, SILENT_SECONDS)
        alice.say("Test one", "test")
    assert trial.session("call").pod == session.pod


@pytest.mark.speech
@pytest.mark.parametrize("what", AILMENTS)
def test_an_agent_with_an_engine_that_does_not_work(
    trial: Trial, agent_66: Json, what: str, record_property: Record
) -> None:
    ailment = AILMENTS[what]
    engine: Json = {ailment.role: {"provider": "faulty", "options": {"fault": ailment.fault}}}
    session = listening(trial, agent_66, pod={"image": TRIAL_IMAGE}, **engine)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        old = alice.meet()
        healing = Healing(trial, "call", ailment.reason, record=record_property)
        speak = partial(alice.mutter, ailment.sentence, within=ailment.within)
        healing.detected_by(speak, ailment.times, SPOKEN_SECONDS)
        healing.healed(old, SILENT_SECONDS)
        alice.say("Test one", "test")
        after = trial.session("call")
        assert (after.pod, after.status["humans"]) == (session.pod, 1)


@meanwhile
def test_an_agent_whose_connection_is_cut(trial: Trial, agent_66: Json, record_property: Record) -> None:
    session = listening(trial, agent_66)
    trial.visit("call")
    old = trial.agent_sid(session)
    with nodes.cut_off(trial.kube, session.pod, trial.namespace):
        healing = Healing(trial, "call", *CUT_REASONS, record=record_property)
        healing.detected(CUT_SECONDS)
        healing.healed(old, CUT_SECONDS)
    after = trial.session("call")
    assert after.room == session.room
    assert after.status["humans"] == 1
    assert after.status["replacements"] <= 1


@meanwhile
def test_a_room_that_somebody_else_has_deleted(trial: Trial, agent_66: Json, record_property: Record) -> None:
    session = listening(trial, agent_66)
    trial.visit("call")
    old = trial.agent_sid(session)

    trial.livekit.delete(session.room)

    healing = Healing(trial, "call", "RoomRecreated", record=record_property)
    healing.detected(ROOM_SECONDS)
    healing.healed(old, ROOM_SECONDS)
    after = trial.session("call")
    assert (after.room, after.pod) == (session.room, session.pod)
    Visitor(trial.livekit, "call", trial.namespace, session.room, "bob").joined().leave()


@in_one_process
def test_what_cannot_be_mended_ends(hopeless: tuple[Trial, Attendance]) -> None:
    trial, agents = hopeless

    session = trial.finished("call", HOPELESS_SECONDS)

    assert session.end_reason == "AgentLost"
    trial.event("call", "AgentStuck")
    seen = agents.lived(0, time.time())
    assert 1 < len(seen) <= LAUNCHES, seen
    trial.gone()


def _language_model(namespace: str) -> Json:
    """The name `llm`, with nobody behind it."""
    metadata = {"name": "llm", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [LLM_PORT]}}


def _endpoint(namespace: str, address: str) -> Json:
    """Somebody behind it; the name's own address stays, so that no resolver has to forget anything."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "llm", "namespace": namespace, "labels": {"kubernetes.io/service-name": "llm"}},
        "addressType": "IPv4",
        "ports": [LLM_PORT],
        "endpoints": [{"addresses": [address]}],
    }
