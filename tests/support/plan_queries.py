"""Short ways to read a plan in a test."""

from voicesession_common.api.conditions import Condition, find_condition
from voicesession_common.api.voicesession import Status, VoiceSession
from voicesession_operator.domain.actions import Plan
from voicesession_operator.domain.observed import Observed
from voicesession_operator.domain.plan import plan

from tests.support.builders import CONFIG, ObservedBuilder, SessionBuilder


def decide(session: SessionBuilder | VoiceSession, world: ObservedBuilder | Observed, now: float) -> Plan:
    made = session.build() if isinstance(session, SessionBuilder) else session
    seen = world.build() if isinstance(world, ObservedBuilder) else world
    return plan(made, seen, now, CONFIG)


def action_kinds(found: Plan) -> list[str]:
    return [type(action).__name__ for action in found.actions]


def condition(status: Status, kind: str) -> Condition:
    found = find_condition(status.conditions, kind)
    assert found is not None, f"no condition {kind}"
    return found


def status_and_reason(status: Status, kind: str) -> tuple[str, str]:
    found = condition(status, kind)
    return found.status, str(found.reason)


def reasons(found: Plan) -> list[str]:
    return [event.reason for event in found.events]
