"""Properties of plan() with operators that are away, clocks that differ, failed looks and changed VoiceAgents."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voicesession_common.api.timestamps import CLOCK_SKEW_SECONDS
from voicesession_operator.domain.observed import LeaveReason
from voicesession_operator.domain.pods import REPLACEMENT_WINDOW_SECONDS

from tests.support.builders import agent
from tests.support.fakes.simulated_outages import OutageCluster

START_SECONDS, MAX_REPLACEMENTS, MAX_DURATION = 60, 2, 3000
LIMITS = {"startSeconds": START_SECONDS, "maxReplacements": MAX_REPLACEMENTS}
"""The session's own limits; it inherits the others."""
DEFINITION = {"limits": {"maxDurationSeconds": MAX_DURATION, "joinSeconds": 120}}
EDITED = {
    "limits": {"startSeconds": 1, "joinSeconds": 1, "maxDurationSeconds": 1, "maxReplacements": 0},
    "onLastHumanLeft": {"action": "Teardown", "graceSeconds": 0, "reconnectGraceSeconds": 0},
}


def pass_time(cluster: OutageCluster, seconds: float) -> None:
    cluster.now += seconds


def set_agent(cluster: OutageCluster, spec: dict[str, object] | None) -> None:
    cluster.agent = None if spec is None else agent(**spec)


def set_livekit(cluster: OutageCluster, up: bool) -> None:
    cluster.livekit_up = up


def set_api_server_skew(cluster: OutageCluster, seconds: float) -> None:
    cluster.api_server_skew = seconds


def delete_pods(cluster: OutageCluster) -> None:
    cluster.pods = {name: replace(pod, deleting=True) for name, pod in cluster.pods.items()}


INCIDENTS: dict[str, Callable[[OutageCluster], None]] = {
    "start pods": OutageCluster.start_pods,
    "pods fail": lambda cluster: cluster.end_pods("Failed"),
    "pods vanish": lambda cluster: cluster.end_pods(None),
    "pods are deleted": delete_pods,
    "room lost": OutageCluster.lose_room,
    "livekit down": lambda cluster: set_livekit(cluster, False),
    "livekit up": lambda cluster: set_livekit(cluster, True),
    "one look fails": OutageCluster.look_without_answer,
    "the agent is lost from the room": OutageCluster.lose_agent,
    "jobs hang": lambda cluster: cluster.set_jobs_hanging(True),
    "jobs run": lambda cluster: cluster.set_jobs_hanging(False),
    "agent deleted": lambda cluster: set_agent(cluster, None),
    "agent created": lambda cluster: set_agent(cluster, DEFINITION),
    "agent edited": lambda cluster: set_agent(cluster, EDITED),
    "alice comes": lambda cluster: cluster.join("alice"),
    "alice starts to connect": lambda cluster: cluster.start_joining("alice"),
    "a human leaves": lambda cluster: cluster.leave(LeaveReason.LEFT),
    "a human loses the connection": lambda cluster: cluster.leave(LeaveReason.CONNECTION_LOST),
    "a second passes": lambda cluster: pass_time(cluster, 1),
    "ten seconds pass": lambda cluster: pass_time(cluster, 10),
    "half a minute passes": lambda cluster: pass_time(cluster, 30),
    "operators are away for minutes": lambda cluster: cluster.replace_operator(away=180, skew=0),
    "the next leader's clock is ahead": lambda cluster: cluster.replace_operator(away=0, skew=2.5),
    "the next leader's clock is behind": lambda cluster: cluster.replace_operator(away=10, skew=-2.5),
    "the API server's clock is ahead": lambda cluster: set_api_server_skew(cluster, 2.5),
    "the API server's clock is behind": lambda cluster: set_api_server_skew(cluster, -2.5),
    "operator dies after one action": lambda cluster: cluster.execute_partially(actions=1),
    "operator dies after a decision": OutageCluster.store_decision_only,
}
"""Two clocks differ by up to 5 s."""
INCIDENT_LISTS = st.lists(st.sampled_from(tuple(INCIDENTS)), max_size=40)
ACTIONS = st.sampled_from(("Teardown", "Reset", "Recycle"))
MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def begin(action: str) -> OutageCluster:
    """Return a cluster with a session that has begun."""
    cluster = OutageCluster(spec={"limits": LIMITS, "onLastHumanLeft": {"action": action, "graceSeconds": 0}})
    set_agent(cluster, DEFINITION)
    cluster.reconcile()
    return cluster


def apply(cluster: OutageCluster, incident: str) -> None:
    INCIDENTS[incident](cluster)
    if not incident.startswith("operator dies"):
        cluster.reconcile()


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_call_with_human_ends_only_at_own_limits(incidents: list[str], action: str) -> None:
    cluster, was_agent_missing = begin(action), False
    for incident in ("start pods", "alice comes", *incidents):
        apply(cluster, incident)
        if cluster.session.status.finished_at is not None:
            break
        was_agent_missing = cluster.agent is None
    if cluster.humans_at_end:
        assert is_own_limit(cluster, was_agent_missing), cluster.session.status.end_reason


def is_own_limit(cluster: OutageCluster, was_agent_missing: bool) -> bool:
    """Return True if the session ended at a limit that it had at its beginning."""
    status, now = cluster.session.status, cluster.operator_now + CLOCK_SKEW_SECONDS
    watched = 0.0 if cluster.watch is None else cluster.watch.last - cluster.watch.since
    started_at = status.started_at or 0.0
    match status.end_reason:
        case "MaxDuration":
            return now >= (status.ready_at or started_at) + MAX_DURATION
        case "StartDeadline" | "Invalid":
            return status.ready_at is None and now >= started_at + START_SECONDS and watched >= START_SECONDS
        case "AgentLost":
            created = [at for at in cluster.created if at > cluster.now - REPLACEMENT_WINDOW_SECONDS]
            is_agent_missing = was_agent_missing or cluster.agent is None
            return len(created) > MAX_REPLACEMENTS or (is_agent_missing and watched >= START_SECONDS)
    return False


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_replacements_of_an_hour_stay_within_limit(incidents: list[str], action: str) -> None:
    cluster = begin(action)
    for incident in incidents:
        apply(cluster, incident)
        since = cluster.operator_now - REPLACEMENT_WINDOW_SECONDS + CLOCK_SKEW_SECONDS
        recent = [at for at in cluster.session.status.replaced_at or () if at > since]
        assert len(recent) <= MAX_REPLACEMENTS


@MANY
@given(INCIDENT_LISTS, ACTIONS)
def test_begun_session_keeps_settings(incidents: list[str], action: str) -> None:
    cluster = begin(action)
    limits, on_last_human_left = cluster.session.limits, cluster.session.on_last_human_left
    for incident in incidents:
        apply(cluster, incident)
        assert (cluster.session.limits, cluster.session.on_last_human_left) == (limits, on_last_human_left)


@MANY
@given(INCIDENT_LISTS)
def test_abandoned_session_ends_after_all_outages(incidents: list[str]) -> None:
    cluster = begin("Teardown")
    for incident in incidents:
        apply(cluster, incident)
    cluster.livekit_up, cluster.agent = True, agent(**DEFINITION)
    cluster.set_jobs_hanging(False)
    cluster.humans.clear()
    for _ in range(300):
        cluster.start_pods()
        found = cluster.reconcile()
        if cluster.session.status.finished_at is not None:
            return
        cluster.now += found.requeue_after or 0.0
    raise AssertionError(cluster.session.status)
