"""Kinds of participants: only humans delay a reset; all others may stay in the room."""

from collections.abc import Iterator

import pytest

from tests.support.cluster.kubectl import Session
from tests.support.cluster.manifests import RESET
from tests.support.cluster.scenario import Scenario
from tests.support.participants.silent_participant import Role, RoleParticipant
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

ROLE = "voicesession.role"
NOT_HUMAN = {
    "another agent": Role(kind="agent"),
    "an agent by its grant": Role(agent=True),
    "a recorder": Role(recorder=True, hidden=True),
    "an egress": Role(kind="egress"),
    "hidden": Role(hidden=True),
    "an avatar": Role(attributes={"lk.publish_on_behalf": "agent"}),
    "a listen-only observer": Role(can_publish=False, attributes={ROLE: "observer"}),
}
HUMAN = {
    "a second human": Role(),
    "a caller by SIP": Role(kind="sip"),
    "a human who only listens": Role(can_publish=False),
    "a human by its token's attribute": Role(kind="ingress", attributes={ROLE: "human"}),
}
UNDISTURBED_SECONDS = 3


@pytest.fixture
def session(scenario: Scenario) -> Session:
    """Start a session that resets without a grace."""
    scenario.kube.patch("voiceagent", "fake", scenario.namespace, {"spec": {"onLastHumanLeft": RESET}})
    return scenario.start_session("call", grace=0, reconnect_grace=0)


@pytest.fixture
def others(
    scenario: Scenario, session: Session, request: pytest.FixtureRequest
) -> Iterator[dict[str, RoleParticipant]]:
    """Let all participants of the test's parameter join the room."""
    made: dict[str, RoleParticipant] = {}
    try:
        for number, (name, role) in enumerate(request.param.items()):
            made[name] = RoleParticipant(scenario.livekit, session.room, f"other-{number}", role)
        yield made
    finally:
        for participant in made.values():
            participant.leave()


@pytest.mark.parametrize("others", [NOT_HUMAN], indirect=True, ids=["all of them"])
def test_participants_without_human_role_do_not_delay_reset(
    scenario: Scenario, session: Session, others: dict[str, RoleParticipant]
) -> None:
    assert scenario.session("call").status["humans"] == 0, list(others)
    before = scenario.agent_sid(session)
    scenario.join_human("call").leave()

    scenario.wait_for_reset("call", 1)

    assert scenario.agent_sid(session) not in ("", before)
    assert scenario.session("call").status["humans"] == 0


@pytest.mark.parametrize("others", [HUMAN], indirect=True, ids=["one after the other"])
def test_every_kind_of_human_delays_reset(
    scenario: Scenario, session: Session, others: dict[str, RoleParticipant]
) -> None:
    before = scenario.agent_sid(session)
    alice = scenario.join_human("call")
    _wait_for_humans(scenario, 1 + len(others))
    alice.leave()
    for left, participant in enumerate(others.values()):
        _wait_for_humans(scenario, len(others) - left)
        assert scenario.agent_sid(session) == before, f"reset although {list(others)[left:]} are in the room"
        if left + 1 == len(others):
            always(lambda: scenario.agent_sid(session) == before, "the same agent", UNDISTURBED_SECONDS)
        assert scenario.session("call").status["resets"] == 0
        participant.leave()

    scenario.wait_for_reset("call", 1)
    assert scenario.agent_sid(session) not in ("", before)


def _wait_for_humans(scenario: Scenario, count: int) -> None:
    until(lambda: scenario.session("call").status["humans"] == count, f"{count} humans", 40)
