"""The objects and the simulation of the bench with thousands of sessions: the operator has nothing to do."""

import time

from voicesession_common import JsonObject
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.kube_client import Resource
from voicesession_operator.clients.agent_pod import to_pod_state
from voicesession_operator.clients.livekit import to_participant
from voicesession_operator.controller.pod_watcher import owned_pods
from voicesession_operator.domain.observed import Observed, Room
from voicesession_operator.domain.plan import plan
from voicesession_operator.domain.requeue import counted_participants

from tests.bench.scale_objects import AGENT, ScaleObjects
from tests.bench.simulation import SimulatedSession
from tests.support.fakes.reconciler_world import FakeKubernetes


class Namespaces(FakeKubernetes):
    """Stores the namespace of each created object."""

    async def create(self, resource: Resource, namespace: str, body: JsonObject) -> JsonObject:
        metadata = {**body["metadata"], "namespace": namespace}
        return await super().create(resource, namespace, {**body, "metadata": metadata})


def room_of(simulated: SimulatedSession) -> Room:
    return Room(simulated.info().sid, tuple(to_participant(info) for info in simulated.participants()))


async def test_simulated_session_needs_no_action_and_no_new_status() -> None:
    kube = Namespaces(time.time)
    objects = ScaleObjects(kube, print)  # type: ignore[arg-type]
    await objects.create(1)
    (simulated,) = objects.sessions
    agent = VoiceAgent.parse(kube.objects["voiceagents", AGENT])
    session = VoiceSession.parse(kube.objects["voicesessions", "call-0"], agent.spec)
    (pod,) = (raw for (kind, _), raw in kube.objects.items() if kind == "pods")
    states = {simulated.pod_uid: to_pod_state(simulated.state())}
    observed = Observed(agent, owned_pods([pod], session), room_of(simulated), states)
    now = time.time() + 1
    found = plan(session, observed, now, objects.config)
    assert (found.status, found.actions) == (session.status, ())
    assert found.steady_until > now


async def test_list_of_rooms_has_the_expected_number_of_participants() -> None:
    simulated = SimulatedSession("vs-1", "{}", "uid", "pod-uid", "127.64.0.1", "agent-scale")
    assert simulated.info().num_participants == counted_participants(room_of(simulated)) == 1
    simulated.leave()
    assert simulated.info().num_participants == counted_participants(room_of(simulated)) == 0
