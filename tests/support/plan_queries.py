"""Short ways to read a plan in a test."""

from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.voicesession import Status, VoiceSession
from voicesession_operator.domain.actions import Plan
from voicesession_operator.domain.observed import Observed
from voicesession_operator.domain.plan import plan

from tests.support.builders import CONFIG, ObservedBuilder, SessionBuilder


def decide(session: SessionBuilder | VoiceSession, cluster: ObservedBuilder | Observed, now: float) -> Plan:
    """Return the plan for a session and the observations of its cluster."""
    built = session.build() if isinstance(session, SessionBuilder) else session
    observed = cluster.build() if isinstance(cluster, ObservedBuilder) else cluster
    return plan(built, observed, now, CONFIG)


def action_kinds(found: Plan) -> list[str]:
    """Return the class names of the plan's actions."""
    return [type(action).__name__ for action in found.actions]


def condition(status: Status, kind: str) -> Condition:
    """Return the condition of that type; fail if it is absent."""
    found = find_condition(status.conditions, kind)
    assert found is not None, f"no condition {kind}"
    return found


def status_and_reason(status: Status, kind: str) -> tuple[str, str]:
    """Return status and reason of a condition."""
    found = condition(status, kind)
    return found.status, str(found.reason)


def reasons(found: Plan) -> list[str]:
    """Return the reasons of the plan's events."""
    return [event.reason for event in found.events]
