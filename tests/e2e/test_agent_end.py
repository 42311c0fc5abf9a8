"""Ends of an agent: it ends its session, and its hooks run to their end, whatever ends its job."""

import pytest
from voicesession_common.api.constants import RESET_REQUESTED_AT_ANNOTATION

from tests.support.cluster.manifests import faulty_agent
from tests.support.cluster.scenario import Scenario
from tests.support.observability import pod_log
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

BUSY = 20
SPEECH_SECONDS = 10
CALLBACK_SECONDS = 5


def hooks(job: str) -> list[str]:
    """Return the lines of a job's hooks in their order."""
    return [f"{job} session end", *(f"{job} callback {second}" for second in range(1, CALLBACK_SECONDS + 1))]


def lines_of(job: str, log: str) -> list[str]:
    """Return the lines that the job itself has printed."""
    return [line for line in log.splitlines() if line.startswith(f"{job} ")]


def test_agent_ends_session_after_goodbye(scenario: Scenario) -> None:
    scenario.kube.apply(faulty_agent("goodbye", scenario.namespace, "goodbye"))
    session = scenario.start_session("call", "goodbye")
    with pod_log.followed(scenario.kube, session.pod, scenario.namespace) as log:
        scenario.join_human("call")

        ended = scenario.wait_until_finished("call", SPEECH_SECONDS + BUSY)

        assert ended.end_reason == "AgentEnded"
        assert (ended.status["resets"], ended.status["replacements"]) == (0, 0)
        until(lambda: session.room not in scenario.livekit.rooms(scenario.namespace), "no room", BUSY)
        assert scenario.wait_for_event("call", "Finished", "AgentEnded")["type"] == "Normal"
    assert lines_of("job-1", log.result()) == hooks("job-1")
    scenario.wait_until_empty()


def test_hooks_of_old_job_run_after_reset(scenario: Scenario) -> None:
    scenario.kube.apply(faulty_agent("goodbye", scenario.namespace, "goodbye"))
    session = scenario.start_session("call", "goodbye")
    with pod_log.followed(scenario.kube, session.pod, scenario.namespace) as log:
        annotation = f"{RESET_REQUESTED_AT_ANNOTATION}=2026-01-31T12:00:00Z"
        scenario.kube.run("annotate", "voicesession", "call", annotation, "-n", scenario.namespace)
        after = scenario.wait_for_reset("call", 1)

        assert (after.pod, after.status["replacements"]) == (session.pod, 0)
        written = until(
            lambda: lines_of("job-1", scenario.kube.logs(session.pod, scenario.namespace))[CALLBACK_SECONDS:],
            "the last line of the old job",
            CALLBACK_SECONDS + BUSY,
        )
        assert written == hooks("job-1")[CALLBACK_SECONDS:]
        scenario.kube.patch("voicesession", "call", scenario.namespace, {"spec": {"end": True}})
    assert lines_of("job-1", log.result()) == hooks("job-1")
    assert lines_of("job-2", log.result()) == hooks("job-2"), "the pod's end leaves them their time"
    scenario.wait_until_empty()
