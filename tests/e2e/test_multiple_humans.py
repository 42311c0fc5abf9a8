"""Several humans in real speech: the agent hears each of them, and no reset starts while one is in the room."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.manifests import RESET, copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.observability import pod_log
from tests.support.participants.code_words import (
    ASK_CODE_WORD,
    REQUEST,
    REQUEST_KEYWORD,
    UNKNOWN_KEYWORDS,
    code_word,
    code_word_sentence,
)
from tests.support.participants.speaker import Answer, Speaker
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech]

BOARD = "How many open tasks are left on the board"
THANKS = "Thank you, that is all for today"
TOGETHER_SECONDS = 15
WITHIN_GRACE = {"grace": 60, "reconnect_grace": 60}


def start_call(scenario: Scenario, agent_66: Json, **seconds: int) -> Session:
    """Start a session with the example agent, without greeting and memory, that resets."""
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", "memory", onLastHumanLeft=RESET))
    return scenario.start_session("call", "agent-66", **seconds)


def wait_for_humans(scenario: Scenario, count: int) -> None:
    """Wait until the session counts this number of humans."""
    until(lambda: scenario.session("call").status["humans"] == count, f"{count} humans", 30)


def assert_answered(*answers: Answer) -> None:
    """Check the answers; a sentence may be misheard once, because its beginning is lost while another human speaks."""
    for answer in answers:
        assert answer.is_expected, answer
        assert not answer.repeated or answer.misheard, f"unanswered at first: {answer}"


def speak_together(alice: Speaker, bob: Speaker) -> list[Answer]:
    """Let both humans speak at the same time; return both answers."""
    with ThreadPoolExecutor(2) as pool:
        futures = (
            pool.submit(alice.say_once, BOARD, TOGETHER_SECONDS),
            pool.submit(bob.say_once, THANKS, TOGETHER_SECONDS),
        )
        return [answer.result() for answer in futures]


@pytest.mark.slow
def test_agent_hears_current_speaker_of_two_humans(scenario: Scenario, agent_66: Json) -> None:
    session = start_call(scenario, agent_66, grace=0, reconnect_grace=0)
    with Speaker(scenario.livekit, session) as alice, Speaker(scenario.livekit, session, "bob") as bob:
        alice.join()
        agent = alice.wait_for_agent()
        first = alice.say(code_word_sentence(0), code_word(0))
        bob.join()
        assert bob.wait_for_agent() == agent
        alice.leave()
        wait_for_humans(scenario, 1)
        known = bob.say(ASK_CODE_WORD, code_word(0))

        alice.join()
        assert alice.wait_for_agent() == agent
        wait_for_humans(scenario, 2)
        alternating = [
            alice.say(BOARD, "tasks", "board"),
            bob.say(THANKS, "today"),
            alice.say(REQUEST, REQUEST_KEYWORD),
        ]
        together = speak_together(alice, bob)
        after = bob.say(BOARD, "tasks", "board")

        there = scenario.session("call")
        assert (there.status["resets"], scenario.agent_sid(there)) == (0, agent)
        alice.leave()
        bob.leave()
        scenario.wait_for_reset("call", 1)

    print("\n".join(f"{a.sentence} -> {a.transcript}" for a in (first, known, *alternating, *together, after)))
    assert_answered(first, known, *alternating, after)
    assert any(answer.is_expected for answer in together), f"two humans spoke and neither was heard: {together}"
    assert pod_log.unfinished_work(scenario.kube, session.pod, scenario.namespace) == []


def test_second_human_within_grace_continues_conversation(scenario: Scenario, agent_66: Json) -> None:
    session = start_call(scenario, agent_66, **WITHIN_GRACE)
    with Speaker(scenario.livekit, session) as alice, Speaker(scenario.livekit, session, "bob") as bob:
        alice.join()
        agent = alice.wait_for_agent()
        first = alice.say(code_word_sentence(1), code_word(1))
        alice.leave()
        wait_for_humans(scenario, 0)

        bob.join()
        assert bob.wait_for_agent() == agent
        known = bob.say(ASK_CODE_WORD, code_word(1))
        there = scenario.session("call")
        bob.leave()

    assert (there.status["resets"], there.pod) == (0, session.pod)
    assert_answered(first, known)


@pytest.mark.slow
def test_second_human_after_reset_starts_new_conversation(scenario: Scenario, agent_66: Json) -> None:
    session = start_call(scenario, agent_66, grace=0, reconnect_grace=0)
    with Speaker(scenario.livekit, session) as alice, Speaker(scenario.livekit, session, "bob") as bob:
        alice.hold_conversation((code_word_sentence(2), (code_word(2),)))
        scenario.wait_for_reset("call", 1)

        bob.join()
        bob.wait_for_agent()
        asked = bob.say(ASK_CODE_WORD, *UNKNOWN_KEYWORDS)
        there = scenario.session("call")
        bob.leave()
        scenario.wait_for_reset("call", 2)

    assert (there.status["resets"], there.pod, there.identity) == (1, session.pod, session.identity)
    assert_answered(*alice.answers, asked)
    assert pod_log.unfinished_work(scenario.kube, session.pod, scenario.namespace) == []
