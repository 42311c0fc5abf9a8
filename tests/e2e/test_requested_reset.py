"""A reset requested by an annotation: immediate, once per value, with and without humans in the room."""

import time
from datetime import UTC, datetime

import pytest
from voicesession_common.api.constants import RESET_REQUESTED_AT_ANNOTATION

from tests.support.cluster import manifests, operator_pods
from tests.support.cluster.kubectl import Json, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.scenario import Scenario
from tests.support.participants.code_words import ASK_CODE_WORD, UNKNOWN_KEYWORDS, code_word, code_word_sentence
from tests.support.participants.speaker import Speaker
from tests.support.polling import always, until

pytestmark = pytest.mark.cluster

LONG_GRACES = {"grace": 60, "reconnect_grace": 60}
QUIET_SECONDS = 3
"""Duration of checks for an unwanted reset: ten times the duration of a reset."""
TAKEOVER_SECONDS = operator_pods.TAKEOVER_SECONDS + 30


def request_reset(scenario: Scenario, name: str, value: str = "") -> str:
    """Annotate the session with `kubectl annotate`; return the value, by default the current time."""
    value = value or datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    annotation = f"{RESET_REQUESTED_AT_ANNOTATION}={value}"
    scenario.kube.run("annotate", "voicesession", name, annotation, "--overwrite", "-n", scenario.namespace)
    return value


def request_of(session: Session) -> str:
    """Return the request of the last reset."""
    return str((session.status.get("lastReset") or {}).get("request", ""))


@pytest.mark.parametrize("action", ["Teardown", "Reset", "Recycle"])
def test_requested_reset_starts_new_agent_for_every_action(scenario: Scenario, action: str) -> None:
    scenario.kube.patch("voiceagent", "fake", scenario.namespace, {"spec": {"onLastHumanLeft": {"action": action}}})
    before = scenario.start_session("call", **LONG_GRACES)
    first = scenario.agent_sid(before)

    value = request_reset(scenario, "call")
    without_human = scenario.wait_for_reset("call", 1)
    second = scenario.agent_sid(before)
    assert first != second != ""
    assert (request_of(without_human), without_human.status["lastReset"]["cause"], without_human.status["humans"]) == (
        value,
        "Requested",
        0,
    )

    scenario.join_human("call")
    value = request_reset(scenario, "call")
    after = scenario.wait_for_reset("call", 2)
    assert scenario.agent_sid(before) not in ("", first, second)
    assert (request_of(after), after.status["humans"], after.status.get("lastHumanLeftAt")) == (value, 1, None)
    assert (after.pod, after.room, after.status["recycles"]) == (before.pod, before.room, 0)

    request_reset(scenario, "call", value)
    always(lambda: scenario.session("call").status["resets"] == 2, "one reset for one value", QUIET_SECONDS)
    scenario.wait_for_event("call", "ResetComplete", "Reset 2 (Requested)")


def test_invalid_reset_request_is_reported_and_ignored(scenario: Scenario) -> None:
    session = scenario.start_session("call")
    before = scenario.agent_sid(session)

    request_reset(scenario, "call", "tomorrow")

    event = scenario.wait_for_event("call", "ResetRequestInvalid", '"tomorrow" is no RFC 3339 time')
    assert event["type"] == "Warning"
    always(lambda: scenario.agent_sid(session) == before, "the same agent", QUIET_SECONDS)
    found = scenario.session("call").status
    assert (found["resets"], found.get("lastReset"), found["refusedRequest"]) == (0, None, "tomorrow")
    scenario.assert_single_event("call", "ResetRequestInvalid")

    request_reset(scenario, "call")
    assert scenario.wait_for_reset("call", 1).status.get("refusedRequest") is None


@pytest.mark.speech
def test_requested_reset_starts_new_conversation_for_present_human(scenario: Scenario, agent_66: Json) -> None:
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, "greeting", "memory"))
    session = scenario.start_session("call", "agent-66", **LONG_GRACES)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        alice.wait_for_agent()
        alice.say(code_word_sentence(0), code_word(0))
        known = alice.say(ASK_CODE_WORD, code_word(0))

        request_reset(scenario, "call")
        after = scenario.wait_for_reset("call", 1)
        alice.wait(1)

        asked = alice.say(ASK_CODE_WORD, *UNKNOWN_KEYWORDS)
        alice.leave()
    assert known.is_expected, known
    assert asked.is_expected, asked
    assert (after.pod, after.room, after.status["humans"]) == (session.pod, session.room, 1)


@pytest.mark.disruptive
def test_reset_requested_during_leader_death_runs_once(scenario: Scenario) -> None:
    scenario.kube.patch("voiceagent", "fake", scenario.namespace, {"spec": {"onLastHumanLeft": manifests.RESET}})
    session = scenario.start_session("call", **LONG_GRACES)
    scenario.join_human("call")

    request_reset(scenario, "call")
    operator_pods.kill_leader(scenario.kube)
    died = time.time()
    last = request_reset(scenario, "call")

    after = until(lambda: _completed_request(scenario, last), "the latest request completed", TAKEOVER_SECONDS)
    print(f"{after.status['resets']} resets for two requests, {time.time() - died:.1f} s after the leader's death")
    assert after.status["resets"] in (1, 2), "one reset for each value, or one for the latest value"
    resets = after.status["resets"]
    always(lambda: scenario.session("call").status["resets"] == resets, "no further reset", QUIET_SECONDS)
    assert (after.status["humans"], after.pod) == (1, session.pod)
    until(lambda: operator_pods.all_ready(scenario.kube), "both operators", 120)


def _completed_request(scenario: Scenario, value: str) -> Session | None:
    found = scenario.find_session("call")
    if found is None or request_of(found) != value or not found.is_true("AgentJoined"):
        return None
    return found if found.status["lastReset"]["outcome"] == "Complete" else None
