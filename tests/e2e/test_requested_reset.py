"""A reset that somebody asks for by an annotation: at once, once per value, whoever is there."""

import time
from datetime import UTC, datetime

import pytest
from voicesession_common.api.constants import RESET_REQUESTED_AT_ANNOTATION

from tests.support.cluster import manifests, operator_pods
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Trial
from tests.support.participants.code_words import UNKNOWN, WHICH, code_word, telling
from tests.support.participants.speaker import Guest
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

STAYS = {"grace": 60, "reconnect_grace": 60}
QUIET_SECONDS = 3
"""For what must not happen: ten times as long as a reset takes."""
AFTER_A_DEATH_SECONDS = operator_pods.TAKEOVER_SECONDS + 30


def ask(trial: Trial, name: str, value: str = "") -> str:
    """What `kubectl annotate` does for anybody; returns the value, which is the time of now if none is given."""
    value = value or datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    annotation = f"{RESET_REQUESTED_AT_ANNOTATION}={value}"
    trial.kube.run("annotate", "voicesession", name, annotation, "--overwrite", "-n", trial.namespace)
    return value


def request_of(session: Session) -> str:
    return str((session.status.get("lastReset") or {}).get("request", ""))


@pytest.mark.parametrize("action", ["Teardown", "Reset", "Recycle"])
def test_it_begins_anew_with_and_without_people_whatever_the_action(trial: Trial, action: str) -> None:
    trial.kube.patch("voiceagent", "fake", trial.namespace, {"spec": {"onLastHumanLeft": {"action": action}}})
    before = trial.ready("call", **STAYS)
    first = trial.agent_sid(before)

    value = ask(trial, "call")
    alone = trial.reset_complete("call", 1)
    second = trial.agent_sid(before)
    assert first != second != ""
    assert (request_of(alone), alone.status["lastReset"]["cause"], alone.status["humans"]) == (value, "Requested", 0)

    trial.visit("call")
    value = ask(trial, "call")
    after = trial.reset_complete("call", 2)
    assert trial.agent_sid(before) not in ("", first, second)
    assert (request_of(after), after.status["humans"], after.status.get("lastHumanLeftAt")) == (value, 1, None)
    assert (after.pod, after.room, after.status["recycles"]) == (before.pod, before.room, 0)

    ask(trial, "call", value)
    always(lambda: trial.session("call").status["resets"] == 2, "one reset for one value", QUIET_SECONDS)
    trial.event("call", "ResetComplete", "Reset 2 (Requested)")


def test_what_is_no_time_is_told_of_and_nothing_else_happens(trial: Trial) -> None:
    session = trial.ready("call")
    before = trial.agent_sid(session)

    ask(trial, "call", "tomorrow")

    event = trial.event("call", "ResetRequestInvalid", '"tomorrow" is no RFC 3339 time')
    assert event["type"] == "Warning"
    always(lambda: trial.agent_sid(session) == before, "the same agent", QUIET_SECONDS)
    found = trial.session("call").status
    assert (found["resets"], found.get("lastReset"), found["refusedRequest"]) == (0, None, "tomorrow")
    trial.one_event("call", "ResetRequestInvalid")

    ask(trial, "call")
    assert trial.reset_complete("call", 1).status.get("refusedRequest") is None


@pytest.mark.speech
def test_she_who_is_there_begins_anew_with_the_agent(trial: Trial, agent_66: Json) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, "greeting", "memory"))
    session = trial.ready("call", "agent-66", **STAYS)
    with Guest(trial.livekit, session) as alice:
        alice.come()
        alice.meet()
        alice.say(telling(0), code_word(0))
        known = alice.say(WHICH, code_word(0))

        ask(trial, "call")
        after = trial.reset_complete("call", 1)
        alice.stay(1)

        asked = alice.say(WHICH, *UNKNOWN)
        alice.leave()
    assert known.told, known
    assert asked.told, asked
    assert (after.pod, after.room, after.status["humans"]) == (session.pod, session.room, 1)


@pytest.mark.disruptive
def test_what_was_asked_for_while_the_leader_died_is_done_once(trial: Trial) -> None:
    trial.kube.patch("voiceagent", "fake", trial.namespace, {"spec": {"onLastHumanLeft": manifests.RESET}})
    session = trial.ready("call", **STAYS)
    trial.visit("call")

    ask(trial, "call")
    operator_pods.kill_leader(trial.kube)
    died = time.time()
    last = ask(trial, "call")

    after = until(lambda: _acted_on(trial, last), "the latest request acted on", AFTER_A_DEATH_SECONDS)
    print(f"{after.status['resets']} resets for two requests, {time.time() - died:.1f} s after the leader's death")
    assert after.status["resets"] in (1, 2), "one for each value, or for the latest alone"
    resets = after.status["resets"]
    always(lambda: trial.session("call").status["resets"] == resets, "no further reset", QUIET_SECONDS)
    assert (after.status["humans"], after.pod) == (1, session.pod)
    until(lambda: operator_pods.all_ready(trial.kube), "both operators", 120)


def _acted_on(trial: Trial, value: str) -> Session | None:
    found = trial.find("call")
    if found is None or request_of(found) != value or not found.is_true("AgentJoined"):
        return None
    return found if found.status["lastReset"]["outcome"] == "Complete" else None
