"""An agent that does not come back: the pod that lost it, the time of each pod, and the replacements left."""

from dataclasses import replace
from math import inf

import pytest
from voicesession_common.api.voicesession import Status
from voicesession_operator.domain.actions import CreatePod
from voicesession_operator.domain.observed import Observed
from voicesession_operator.domain.pods import REPLACEMENT_WINDOW_SECONDS

from tests.support.builders import (
    T0,
    ObservedBuilder,
    SessionBuilder,
    agent_participant,
    bound,
    empty_cluster,
    human,
    joined_cluster,
    pod,
    ready_session,
)
from tests.support.plan_queries import action_kinds, condition, decide, reasons

NOW = T0 + 100
OUT = joined_cluster().room(human()).state(bound(participant_sid=""))
"""The agent has left the room, and its pod answers."""


def talking() -> SessionBuilder:
    return ready_session().status(humans=1, first_human_at=T0 + 20, phase="Active")


def away() -> SessionBuilder:
    return talking().stored(decide(talking(), OUT, NOW).status)


def starting(ordinal: int, skew: float = 0.0, at: float = NOW) -> ObservedBuilder:
    """Return a cluster with a starting pod; `skew` is the difference of the API server's clock."""
    made = pod(ordinal, created_at=float(int(at + skew)))
    return empty_cluster().pods(made).room(human())


def replaced(ordinal: int = 1, at: float = NOW, skew: float = 0.0) -> SessionBuilder:
    """Return a session with a replacement for its serving pod, which vanished."""
    return talking().stored(decide(talking(), starting(ordinal, skew, at), at).status)


def test_agent_away_for_thirty_seconds_gets_new_pod() -> None:
    assert decide(away(), OUT, NOW + 29.9).is_decision is False
    found = decide(away(), OUT, NOW + 30)
    assert (found.is_decision, found.status.replacements, reasons(found)) == (True, 1, ["AgentReplaced"])
    assert action_kinds(decide(away().stored(found.status), OUT, NOW + 30)) == ["DeletePod"]


def test_agent_away_with_short_start_seconds_gets_new_pod_earlier() -> None:
    start = away().limits(start_seconds=10)
    assert decide(start, OUT, NOW + 9.9).is_decision is False
    assert decide(start, OUT, NOW + 10).is_decision is True


@pytest.mark.parametrize("skew", [-5.0, -0.5, 0.0, 5.0])
def test_replacement_has_start_seconds_with_any_clock_of_api_server(skew: float) -> None:
    cluster = starting(1, skew)
    for seconds in (30, 40, 59.9):
        found = decide(replaced(skew=skew), cluster, NOW + seconds)
        assert (found.is_decision, found.status.end_reason, found.status.replacements) == (False, "", 1)
    back = joined_cluster().pods(*cluster.build().pods).room(agent_participant(), human()).state(bound(epoch=2), 1)
    assert decide(replaced(skew=skew), back, NOW + 40).status.absence is None


def test_each_pod_has_full_start_seconds() -> None:
    start = talking().limits(max_replacements=2)
    lost = start.stored(replaced().build().status)
    given_up = decide(lost, starting(1), NOW + 60)
    assert (given_up.is_decision, given_up.status.replacements, given_up.status.end_reason) == (True, 2, "")
    second = start.stored(decide(start.stored(given_up.status), starting(2), NOW + 65).status)
    assert decide(second, starting(2), NOW + 124.9).status.end_reason == ""
    found = decide(second, starting(2), NOW + 125)
    assert found.status.end_reason == "AgentLost"
    assert "maxReplacements (2) is used up" in condition(found.status, "Finished").message


def test_left_agent_of_replacement_counts_as_new_loss() -> None:
    joined = empty_cluster().pods(pod(1)).room(agent_participant(), human()).state(bound(epoch=2, job_epoch=2), 1)
    start = talking().stored(decide(replaced(), joined, NOW + 8).status)
    out = empty_cluster().pods(pod(1)).room(human()).state(bound(epoch=2, job_epoch=2, participant_sid=""), 1)
    lost = decide(start, out, NOW + 20).status
    assert lost.absence is not None
    assert (lost.absence.pod, lost.absence.since, lost.absence.left) == (pod(1).name, NOW + 20, True)
    assert decide(start.stored(lost), out, NOW + 50).is_decision is True


def test_status_of_earlier_operator_counts_from_first_look() -> None:
    stored = talking().stored(replace(replaced().build().status, absence=None))
    first = decide(stored, starting(1), NOW + 500).status
    assert decide(talking().stored(first), starting(1), NOW + 559.9).status.end_reason == ""
    assert decide(talking().stored(first), starting(1), NOW + 560).is_decision is True


def watched(cluster: ObservedBuilder, since: float) -> Observed:
    return replace(cluster.build(), watched_since=since)


@pytest.mark.parametrize("gone", [61, 1800])
def test_lost_pod_is_replaced_after_outage_of_operator(gone: float) -> None:
    lost = talking().stored(decide(talking(), empty_cluster().room(human()), NOW).status)
    back = NOW + gone
    found = decide(lost, watched(empty_cluster().room(human()), back), back)
    assert found.status.end_reason == ""
    assert any(isinstance(action, CreatePod) for action in found.actions)


@pytest.mark.parametrize("max_replacements", [0, 3])
def test_waiting_pod_is_tried_after_outage_of_operator(max_replacements: int) -> None:
    start = talking().limits(max_replacements=max_replacements).stored(away().build().status)
    back = NOW + 900
    cluster = OUT.state(bound(state="Unbound", session_uid="", epoch=0, job_epoch=0, participant_sid=""))
    found = decide(start, watched(cluster, back), back)
    assert (found.status.end_reason, found.is_decision, action_kinds(found)) == ("", False, ["SetPodState"])
    tried = 60 if max_replacements == 0 else 30
    assert decide(start, watched(OUT, back), back + tried - 0.1).status == start.build().status
    over = decide(start, watched(OUT, back), back + tried)
    assert (over.is_decision, over.status.end_reason) == ((False, "AgentLost") if max_replacements == 0 else (True, ""))


def used_up(*times: float) -> Status:
    """Return the status of a session with these replacements; the newest pod serves."""
    stored = talking().build().status
    count = len(times)
    return replace(
        stored,
        replacements=count,
        replaced_at=times,
        agent_pod=pod(count).name,
        pod_ordinal=count,
        agent_epoch=1 + count,
    )


def test_replacements_of_last_hour_count() -> None:
    start = talking().limits(max_replacements=3, max_duration_seconds=inf)
    stored = start.stored(used_up(NOW, NOW + 1000, NOW + 2000))
    gone = empty_cluster().room(human())
    assert decide(stored, gone, NOW + REPLACEMENT_WINDOW_SECONDS - 1).status.end_reason == "AgentLost"
    renewed = NOW + REPLACEMENT_WINDOW_SECONDS
    assert action_kinds(decide(stored, gone, renewed)) == ["CreatePod"]
    made = decide(stored, starting(4, at=renewed), renewed).status
    assert (made.replacements, made.replaced_at) == (4, (NOW + 1000, NOW + 2000, renewed))
    assert decide(start.stored(made), gone, renewed + 20).status.end_reason == "AgentLost"


def test_pause_before_replacement_may_be_longer_than_start_seconds() -> None:
    gone = empty_cluster().room(human())
    start = talking().limits(start_seconds=5, max_replacements=10)
    lost = start.stored(decide(start.stored(used_up(NOW, NOW, NOW)), gone, NOW).status)
    paused = decide(lost, gone, NOW + 7.9)
    assert (paused.status.end_reason, action_kinds(paused)) == ("", [])
    assert action_kinds(decide(lost, gone, NOW + 8)) == ["CreatePod"]
    refused = decide(lost, gone.failed("CreatePod", "Forbidden", "exceeded quota"), NOW + 8)
    assert refused.status.end_reason == "AgentLost"
    assert "exceeded quota" in condition(refused.status, "Finished").message
    assert decide(lost, gone.no_agent(), NOW + 5).status.end_reason == "AgentLost"


def test_replacements_of_earlier_operator_count_as_recent() -> None:
    start = talking().limits(max_replacements=3).stored(replace(used_up(1, 2, 3), replaced_at=None))
    assert decide(start, empty_cluster().room(human()), NOW).status.end_reason == "AgentLost"


def test_old_replacements_cause_no_backoff() -> None:
    old = used_up(NOW - 9000, NOW - 8000)
    stored = talking().stored(replace(decide(talking(), OUT, NOW).status, replacements=2, replaced_at=old.replaced_at))
    lost = empty_cluster().pods(pod(2, phase="Failed")).room(human())
    assert "CreatePod" in action_kinds(decide(stored, lost, NOW))
