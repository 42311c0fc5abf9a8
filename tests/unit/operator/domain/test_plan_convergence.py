"""Properties of plan(), executed repeatedly in a simulated cluster with failures."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voicesession_common.api.conditions import is_condition_true
from voicesession_common.api.timestamps import is_rfc3339, to_rfc3339
from voicesession_common.api.voicesession import Status
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import agent, session
from tests.support.fakes.simulated_cluster import SimulatedCluster


def set_livekit(cluster: SimulatedCluster, up: bool) -> None:
    cluster.livekit_up = up


def set_agent(cluster: SimulatedCluster, there: bool) -> None:
    cluster.agent = agent() if there else None


def pass_time(cluster: SimulatedCluster, seconds: float) -> None:
    cluster.now += seconds


def delete_pods(cluster: SimulatedCluster) -> None:
    cluster.pods = {name: replace(pod, deleting=True) for name, pod in cluster.pods.items()}


def request_end(cluster: SimulatedCluster) -> None:
    cluster.session = replace(cluster.session, end=True)


def request_reset(cluster: SimulatedCluster, value: str = "") -> None:
    cluster.session = replace(cluster.session, reset_request=value or to_rfc3339(cluster.now))


def silence(cluster: SimulatedCluster, silent: bool) -> None:
    cluster.silent = silent


def delay_webhooks(cluster: SimulatedCluster) -> None:
    cluster.webhooks.late = True


def deliver_webhooks(cluster: SimulatedCluster) -> None:
    cluster.webhooks.late = False
    cluster.webhooks.deliver(cluster.now)


INCIDENTS: dict[str, Callable[[SimulatedCluster], None]] = {
    "nothing": lambda cluster: None,
    "start pods": SimulatedCluster.start_pods,
    "pods fail": lambda cluster: cluster.end_pods("Failed"),
    "pods finish": lambda cluster: cluster.end_pods("Succeeded"),
    "pods vanish": lambda cluster: cluster.end_pods(None),
    "pods are deleted": delete_pods,
    "room lost": SimulatedCluster.lose_room,
    "livekit down": lambda cluster: set_livekit(cluster, False),
    "livekit up": lambda cluster: set_livekit(cluster, True),
    "the newest pod fails": lambda cluster: cluster.end_pods("Failed", newest_only=True),
    "the agent is lost from the room": SimulatedCluster.lose_agent,
    "jobs hang": lambda cluster: cluster.set_jobs_hanging(True),
    "jobs run": lambda cluster: cluster.set_jobs_hanging(False),
    "control ports are silent": lambda cluster: silence(cluster, True),
    "control ports answer": lambda cluster: silence(cluster, False),
    "agent deleted": lambda cluster: set_agent(cluster, False),
    "agent created": lambda cluster: set_agent(cluster, True),
    "alice comes": lambda cluster: cluster.join("alice"),
    "bob comes": lambda cluster: cluster.join("bob"),
    "alice starts to connect": lambda cluster: cluster.start_joining("alice"),
    "carol starts to connect": lambda cluster: cluster.start_joining("carol"),
    "a human leaves": lambda cluster: cluster.leave(LeaveReason.LEFT),
    "a human loses the connection": lambda cluster: cluster.leave(LeaveReason.CONNECTION_LOST),
    "a second passes": lambda cluster: pass_time(cluster, 1),
    "half a minute passes": lambda cluster: pass_time(cluster, 30),
    "end": request_end,
    "a reset is requested": request_reset,
    "an invalid reset is requested": lambda cluster: request_reset(cluster, "at once, please"),
    "webhooks are late": delay_webhooks,
    "webhooks arrive": deliver_webhooks,
    "operator restarts": lambda cluster: cluster.webhooks.restart_operator(),
    "operator dies after one action": lambda cluster: cluster.execute_partially(actions=1),
    "operator dies before its write": lambda cluster: cluster.execute_partially(actions=99),
    "operator dies after a decision": SimulatedCluster.store_decision_only,
}


def apply(cluster: SimulatedCluster, incident: str) -> None:
    INCIDENTS[incident](cluster)
    if not incident.startswith("operator dies"):
        cluster.reconcile()


def settle(cluster: SimulatedCluster, passes: int = 200) -> None:
    """Repair everything, then only wait as long as each plan says."""
    cluster.livekit_up, cluster.agent, cluster.silent = True, agent(), False
    cluster.set_jobs_hanging(False)
    for _ in range(passes):
        cluster.start_pods()
        found = cluster.reconcile()
        if cluster.session_deleted or found.requeue_after is None:
            return
        cluster.now += found.requeue_after


def new_cluster(action: str) -> SimulatedCluster:
    return SimulatedCluster(session=session().action(action).graces(0, 5).limits(max_replacements=2).build())


INCIDENT_LISTS = st.lists(st.sampled_from(tuple(INCIDENTS)), max_size=40)
ACTIONS = st.sampled_from(("Teardown", "Reset", "Recycle"))
MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_only_recycle_has_two_live_pods(incidents: list[str], action: str) -> None:
    cluster = new_cluster(action)
    for incident in incidents:
        apply(cluster, incident)
    assert cluster.most_live_without_recycle <= 1
    assert cluster.most_live <= (2 if action == "Recycle" else 1)


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_reconcile_converges(incidents: list[str], action: str) -> None:
    cluster = new_cluster(action)
    for incident in incidents:
        apply(cluster, incident)
        first = cluster.reconcile()
        writes, events = cluster.writes, len(cluster.events)
        second = cluster.reconcile()
        executed = {type(action).__name__ for action in first.actions}
        busy = {"DeleteRoom", "DeleteSession"} | ({"SetPodState"} if cluster.silent else set())
        assert executed <= busy, "only an outage of LiveKit keeps a pass busy"
        if first.requeue_after != 0.0:
            assert second.status == first.status
            assert (cluster.writes, len(cluster.events)) == (writes, events)


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_status_counters_and_times_never_decrease(incidents: list[str], action: str) -> None:
    cluster = new_cluster(action)
    for incident in incidents:
        apply(cluster, incident)
    for before, after in pairwise(cluster.history):
        for number in ("replacements", "resets", "recycles", "agent_epoch"):
            assert getattr(after, number) >= getattr(before, number), number
        for once in ("started_at", "ready_at", "first_human_at", "finished_at"):
            assert getattr(before, once) in (None, getattr(after, once)), once
        if before.finished_at is not None:
            assert after == before


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_session_is_always_cleaned_up(incidents: list[str], action: str) -> None:
    cluster = SimulatedCluster(
        session=session().action(action).limits(max_duration_seconds=120, join_seconds=60).ttl(30).build()
    )
    for incident in incidents:
        apply(cluster, incident)
    settle(cluster)
    assert cluster.session_deleted
    assert (cluster.room_sid, cluster.pods) == ("", {})
    assert is_condition_true(cluster.session.status.conditions, "Finished")


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_replacements_stay_within_limit(incidents: list[str], action: str) -> None:
    cluster = new_cluster(action)
    for incident in incidents:
        apply(cluster, incident)
    assert cluster.session.status.replacements <= cluster.session.limits.max_replacements


@MANY
@given(INCIDENT_LISTS, st.sampled_from(("Reset", "Recycle")))
def test_resets_are_neither_duplicated_nor_lost(incidents: list[str], action: str) -> None:
    cluster = new_cluster(action)
    for incident in incidents:
        apply(cluster, incident)
    for before, after in pairwise(cluster.history):
        assert after.resets - before.resets in (0, 1)
        if after.resets > before.resets and after.last_reset and after.last_reset.cause == "LastHumanLeft":
            assert before.humans or before.last_human_left_at is not None
    assert max(Counter(started_requests(cluster)).values(), default=1) == 1, "once for each value"
    cluster.humans.clear()
    settle(cluster, passes=80)
    status = cluster.session.status
    if status.finished_at is None:
        assert status.last_human_left_at is None
        assert status.last_reset is None or status.last_reset.completed_at is not None
        assert cluster.jobs[cluster.occupant] >= 1 + status.resets
        if is_rfc3339(cluster.session.reset_request):
            assert status.last_reset is not None
            assert status.last_reset.request == cluster.session.reset_request


def started_requests(cluster: SimulatedCluster) -> list[str]:
    """Return the requests of the requested resets, in order."""
    resets = [
        after.last_reset
        for before, after in pairwise(cluster.history)
        if after.resets > before.resets and after.last_reset is not None
    ]
    return [reset.request for reset in resets if reset.cause == "Requested"]


def ordinary_session() -> SimulatedCluster:
    cluster = SimulatedCluster()
    steps = ("nothing", "start pods", "alice comes", "a second passes", "a human leaves")
    for incident in steps:
        apply(cluster, incident)
    settle(cluster)
    return cluster


def test_ordinary_session_needs_five_writes_and_single_event() -> None:
    cluster = ordinary_session()
    assert cluster.session_deleted
    assert cluster.writes == 5
    assert [event.reason for event in cluster.events] == ["Finished"]
    assert cluster.session.status.end_reason == "LastHumanLeft"


@pytest.mark.parametrize("lost", ["pods fail", "pods vanish", "pods are deleted"])
def test_call_survives_pod_loss(lost: str) -> None:
    cluster = SimulatedCluster()
    for incident in ("nothing", "start pods", "alice comes", "half a minute passes", lost, "start pods"):
        apply(cluster, incident)
    status: Status = cluster.session.status
    assert is_condition_true(status.conditions, "Ready")
    assert (status.replacements, status.humans, cluster.rooms_created) == (1, 1, 1)
    assert [event.reason for event in cluster.events] == ["AgentReplaced"]
