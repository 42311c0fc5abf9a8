"""Only people hold off a reset: everybody else may stay in the room through it."""

from collections.abc import Iterator

import pytest

from tests.support.cluster.kubectl import Session
from tests.support.cluster.manifests import RESET
from tests.support.cluster.scenario import Trial
from tests.support.participants.silent_participant import Bystander, Role
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
    "a human by the minter's word": Role(kind="ingress", attributes={ROLE: "human"}),
}
UNDISTURBED_SECONDS = 3


@pytest.fixture
def session(trial: Trial) -> Session:
    """Resets the moment the last human has left."""
    trial.kube.patch("voiceagent", "fake", trial.namespace, {"spec": {"onLastHumanLeft": RESET}})
    return trial.ready("call", grace=0, reconnect_grace=0)


@pytest.fixture
def others(trial: Trial, session: Session, request: pytest.FixtureRequest) -> Iterator[dict[str, Bystander]]:
    """Everybody of the test's parameter, in the room."""
    made: dict[str, Bystander] = {}
    try:
        for number, (name, role) in enumerate(request.param.items()):
            made[name] = Bystander(trial.livekit, session.room, f"other-{number}", role)
        yield made
    finally:
        for bystander in made.values():
            bystander.leave()


@pytest.mark.parametrize("others", [NOT_HUMAN], indirect=True, ids=["all of them"])
def test_nobody_but_a_human_holds_off_the_reset(trial: Trial, session: Session, others: dict[str, Bystander]) -> None:
    assert trial.session("call").status["humans"] == 0, list(others)
    before = trial.agent_sid(session)
    trial.visit("call").leave()

    trial.reset_complete("call", 1)

    assert trial.agent_sid(session) not in ("", before)
    assert trial.session("call").status["humans"] == 0


@pytest.mark.parametrize("others", [HUMAN], indirect=True, ids=["one after the other"])
def test_every_other_human_holds_off_the_reset(trial: Trial, session: Session, others: dict[str, Bystander]) -> None:
    before = trial.agent_sid(session)
    alice = trial.visit("call")
    _count_is(trial, 1 + len(others))
    alice.leave()
    for left, bystander in enumerate(others.values()):
        _count_is(trial, len(others) - left)
        assert trial.agent_sid(session) == before, f"reset although {list(others)[left:]} are there"
        if left + 1 == len(others):
            always(lambda: trial.agent_sid(session) == before, "the same agent", UNDISTURBED_SECONDS)
        assert trial.session("call").status["resets"] == 0
        bystander.leave()

    trial.reset_complete("call", 1)
    assert trial.agent_sid(session) not in ("", before)


def _count_is(trial: Trial, count: int) -> None:
    until(lambda: trial.session("call").status["humans"] == count, f"{count} humans", 40)
