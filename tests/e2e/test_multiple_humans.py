"""More than one person, in real speech: whoever comes is heard, and nothing begins anew while somebody is there."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.manifests import RESET, copy_of
from tests.support.cluster.scenario import Trial
from tests.support.observability import pod_log
from tests.support.participants.code_words import UNKNOWN, WHICH, WISH, WISHED, code_word, telling
from tests.support.participants.speaker import Answer, Guest
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

BOARD = "How many open tasks are left on the board"
THANKS = "Thank you, that is all for today"
TOGETHER_SECONDS = 15
WITHIN_GRACE = {"grace": 60, "reconnect_grace": 60}


def listening(trial: Trial, agent_66: Json, **seconds: int) -> Session:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", "memory", onLastHumanLeft=RESET))
    return trial.ready("call", "agent-66", **seconds)


def humans(trial: Trial, count: int) -> None:
    until(lambda: trial.session("call").status["humans"] == count, f"{count} humans", 30)


def heard_at_once(*answers: Answer) -> None:
    """What one says while the agent is turned to another may lose its beginning, and may be misheard for that."""
    for answer in answers:
        assert answer.told, answer
        assert not answer.repeated or answer.misheard, f"not heard at all at first: {answer}"


def both_speak(alice: Guest, bob: Guest) -> list[Answer]:
    with ThreadPoolExecutor(2) as pool:
        said = (pool.submit(alice.mutter, BOARD, TOGETHER_SECONDS), pool.submit(bob.mutter, THANKS, TOGETHER_SECONDS))
        return [one.result() for one in said]


def test_of_two_people_the_one_who_speaks_is_heard(trial: Trial, agent_66: Json) -> None:
    session = listening(trial, agent_66, grace=0, reconnect_grace=0)
    with Guest(trial.livekit, session) as alice, Guest(trial.livekit, session, "bob") as bob:
        alice.come()
        agent = alice.meet()
        told = alice.say(telling(0), code_word(0))
        bob.come()
        assert bob.meet() == agent
        alice.leave()
        humans(trial, 1)
        known = bob.say(WHICH, code_word(0))

        alice.come()
        assert alice.meet() == agent
        humans(trial, 2)
        in_turn = [alice.say(BOARD, "tasks", "board"), bob.say(THANKS, "today"), alice.say(WISH, WISHED)]
        at_once = both_speak(alice, bob)
        after = bob.say(BOARD, "tasks", "board")

        there = trial.session("call")
        assert (there.status["resets"], trial.agent_sid(there)) == (0, agent)
        alice.leave()
        bob.leave()
        trial.reset_complete("call", 1)

    print("\n".join(f"{a.said} -> {a.words}" for a in (told, known, *in_turn, *at_once, after)))
    heard_at_once(told, known, *in_turn, after)
    assert any(answer.told for answer in at_once), f"two spoke, neither was heard: {at_once}"
    assert pod_log.untidy(trial.kube, session.pod, trial.namespace) == []


def test_somebody_new_within_the_grace_goes_on_with_the_conversation(trial: Trial, agent_66: Json) -> None:
    session = listening(trial, agent_66, **WITHIN_GRACE)
    with Guest(trial.livekit, session) as alice, Guest(trial.livekit, session, "bob") as bob:
        alice.come()
        agent = alice.meet()
        told = alice.say(telling(1), code_word(1))
        alice.leave()
        humans(trial, 0)

        bob.come()
        assert bob.meet() == agent
        known = bob.say(WHICH, code_word(1))
        there = trial.session("call")
        bob.leave()

    assert (there.status["resets"], there.pod) == (0, session.pod)
    heard_at_once(told, known)


def test_somebody_new_after_the_reset_knows_nothing_of_the_one_before(trial: Trial, agent_66: Json) -> None:
    session = listening(trial, agent_66, grace=0, reconnect_grace=0)
    with Guest(trial.livekit, session) as alice, Guest(trial.livekit, session, "bob") as bob:
        alice.visit((telling(2), (code_word(2),)))
        trial.reset_complete("call", 1)

        bob.come()
        bob.meet()
        asked = bob.say(WHICH, *UNKNOWN)
        there = trial.session("call")
        bob.leave()
        trial.reset_complete("call", 2)

    assert (there.status["resets"], there.pod, there.identity) == (1, session.pod, session.identity)
    heard_at_once(*alice.answers, asked)
    assert pod_log.untidy(trial.kube, session.pod, trial.namespace) == []
