"""Problems of an own agent: known until the agent joins or the session ends."""

from tests.support.builders import T0, bound, empty_cluster, joined_cluster, pod, ready_session, session
from tests.support.plan_queries import condition, decide


def test_problem_of_job_stays_known_until_session_ends() -> None:
    words = "the agent's entry point failed: KeyError"
    failing = empty_cluster().room().pods(pod()).state(bound(participant_sid="", problem=words))
    start = session().limits(max_replacements=1)
    status = decide(start, failing, T0 + 5).status
    assert condition(status, "AgentJoined").message == words
    starting = empty_cluster().room().pods(pod(1))
    for cluster in (empty_cluster().room(), starting, starting):
        status = decide(start.stored(status), cluster, T0 + 6).status
        assert condition(status, "AgentJoined").message.endswith(f"; the last try failed: {words}")
    ended = decide(start.stored(status), empty_cluster().room().pods(pod(1, phase="Failed")), T0 + 8).status
    assert ended.end_reason == "AgentLost"
    assert f"(1) is used up; the last try failed: {words}" in condition(ended, "Finished").message


def test_problem_of_earlier_job_is_forgotten_once_agent_joins() -> None:
    failing = empty_cluster().room().pods(pod()).state(bound(participant_sid="", problem="no DNS"))
    failed = decide(session(), failing, T0 + 5).status
    joined = decide(session().stored(failed), joined_cluster(), T0 + 9).status
    assert condition(joined, "AgentJoined").message == "The agent is in the room"


def test_joined_agent_with_failing_spare_shows_reason() -> None:
    found = decide(ready_session(), joined_cluster().state(bound(problem="OSError: no DNS")), T0 + 50).status
    assert condition(found, "AgentJoined").status == "True"
    assert condition(found, "AgentJoined").message == "The agent is in the room, and its pod reports: OSError: no DNS"
