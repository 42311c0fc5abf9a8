"""Properties of plan() while humans come and go, connect slowly, and are reported late or not at all."""

from hypothesis import given
from hypothesis import strategies as st
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import session
from tests.support.fakes.simulated_cluster import SimulatedCluster
from tests.unit.operator.domain.test_plan_convergence import ACTIONS, INCIDENTS, MANY, apply

VISITS = st.lists(
    st.sampled_from([name for name in INCIDENTS if "comes" in name or "connect" in name or "a human" in name])
    | st.sampled_from(("a second passes", "half a minute passes", "livekit down", "livekit up", "start pods"))
    | st.sampled_from(("room lost", "webhooks are late", "webhooks arrive", "operator restarts")),
    max_size=20,
)
"""Incidents of humans and of the reports about them, with an agent that is usually in the room."""
JOINS = ("alice comes", "bob comes")
CHANGES = ("a human leaves", "a human loses the connection", "room lost", *JOINS)
REPORTS = ("webhooks are late", "webhooks arrive")
BURSTS = st.tuples(
    st.lists(st.sampled_from((*CHANGES, *REPORTS)), min_size=1, max_size=4), st.sampled_from((1.0, 29.0))
)
"""Incidents at one time, and the seconds that pass after them."""
MILLISECOND = 0.001
"""Resolution of times in the status."""


def assert_grace_has_passed(cluster: SimulatedCluster) -> None:
    """Reconcile; if that ends or resets an empty room, check the time since the true last leave."""
    before = cluster.session.status
    reason, left_at = cluster.last_leave or (LeaveReason.CONNECTION_LOST, cluster.now)
    cluster.reconcile()
    after = cluster.session.status
    is_reset = after.resets > before.resets and after.last_reset and after.last_reset.cause == "LastHumanLeft"
    if is_reset or (before.finished_at is None and after.end_reason == "LastHumanLeft"):
        assert cluster.now - left_at >= (1 if reason == LeaveReason.LEFT else 30) - MILLISECOND


@MANY
@given(VISITS, ACTIONS)
def test_connecting_human_prevents_end_and_reset_of_empty_room(incidents: list[str], action: str) -> None:
    cluster = SimulatedCluster(session=session().action(action).graces(0, 5).limits(join_seconds=5).build())
    for incident in ("nothing", "start pods", *incidents):
        before = cluster.session.status
        INCIDENTS[incident](cluster)
        is_expecting = bool(cluster.connecting_since()) and before.finished_at is None
        cluster.reconcile()
        after = cluster.session.status
        if is_expecting and cluster.livekit_up:
            assert after.end_reason not in ("LastHumanLeft", "NobodyCame")
            assert after.resets == before.resets or (after.last_reset and after.last_reset.cause != "LastHumanLeft")


@MANY
@given(st.lists(BURSTS, min_size=1, max_size=8), ACTIONS, st.sampled_from((-5.0, -1.0, 0.0, 5.0)))
def test_grace_of_last_leave_is_never_shortened(
    bursts: list[tuple[list[str], float]], action: str, skew: float
) -> None:
    made = session().action(action).graces(1, 30).limits(max_duration_seconds=10_000).build()
    cluster = SimulatedCluster(session=made, pod_clock_skew=skew)
    for incident in ("nothing", "start pods", "alice comes", "bob comes"):
        apply(cluster, incident)
    for changes, seconds in bursts:
        for change in changes:
            INCIDENTS[change](cluster)
            if change in JOINS:  # The webhook of a join makes the operator look at the room.
                assert_grace_has_passed(cluster)
        assert_grace_has_passed(cluster)
        cluster.now += seconds
        assert_grace_has_passed(cluster)
