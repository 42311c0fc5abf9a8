"""Concurrent token requests to two replicas of the gateway with quotas."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.environment import BenchEnvironment, bench_environment
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import gateway
from tests.support.cluster.gateway import Answer, Gateway, replica, request_concurrently, token_body
from tests.support.cluster.kubectl import Json
from tests.support.polling import until

AGENT = "joins"
USERS, LIVE = 50, 8
"""Users, and allowed live sessions; the machine supports so many."""
LISTED_SECONDS = 20
GONE_SECONDS = 120
NOTE = (
    f"{USERS} users of one caller, with quotas of one live session for a user and {LIVE} for the caller. Every user "
    "sends requests to both replicas; every second user requests both a session and a room, and may have one of them. "
    "The agents join and do nothing else. A token is returned when its session is Ready, so the upper row is the time "
    "in which this machine starts all agents at the same time."
)


def run(rounds: int) -> Section:
    """Measure the requests; `rounds` is their number."""
    with bench_environment("asking") as env, tempfile.TemporaryDirectory() as folder:
        env.kube.apply(gateway.agent(AGENT, env.scenario.namespace))
        with _replicas(env, Path(folder), rounds) as client:
            answers = request_concurrently([(client[number % 2], _request(number)) for number in range(rounds)])
            created = env.kube.all("voicesessions", env.scenario.namespace)
            env.print_progress(
                f"{rounds} requests: {dict(Counter(answer.status for answer in answers))}, {len(created)} sessions"
            )
            _end(client[0], created)
        env.scenario.wait_until_empty(GONE_SECONDS)
    seconds = {
        "answered with a token (201)": [a.seconds for a in answers if a.status == 201],
        "refused above a limit (429)": [a.seconds for a in answers if a.status == 429],
        "anything else": [a.seconds for a in answers if a.status not in (201, 429)],
    }
    tables = [
        distribution("From the request to its answer, in s", seconds),
        _outcome(answers, created),
        _reasons(answers),
    ]
    return Section("asking", "12. Token requests", tables, [NOTE])


@contextmanager
def _replicas(env: BenchEnvironment, folder: Path, count: int) -> Iterator[tuple[Gateway, Gateway]]:
    """Start two replicas that list the agent, with quotas of sessions, and with rate limits above the requests."""
    limits = {"CALLER_SESSIONS": str(LIVE), "USER_SESSIONS": "1"}
    rates = {"CALLER_BURST": str(2 * count), "USER_BURST": str(count)}
    begin = partial(replica, env.kube, env.scenario.livekit, env.scenario.namespace, folder)
    with begin(**limits, **rates) as first, begin(**limits, **rates) as second:
        for client in (first, second):
            _wait_for_agent(client)
        yield first, second


def _request(number: int) -> Json:
    user = f"user-{number // 2 % USERS}"
    room = {"room_name": f"room-of-{user}"} if number % 4 == 3 else {}
    return token_body(AGENT, participant_identity=user, **room)


def _wait_for_agent(client: Gateway) -> None:
    until(lambda: client.lists_agent(AGENT), "the gateway lists the agent", LISTED_SECONDS)


def _end(client: Gateway, created: list[Json]) -> None:
    """End the sessions through the session API."""
    for session in created:
        assert client.request("DELETE", f"/api/v1/sessions/{session['metadata']['name']}").status == 204


def _outcome(answers: list[Answer], created: list[Json]) -> Table:
    users = Counter(session["spec"]["user"] for session in created)
    given = {answer.session for answer in answers if answer.status == 201}
    refused = [answer for answer in answers if answer.status != 201]
    back = sum("retry-after" in answer.headers for answer in refused)
    live = {session["metadata"]["name"] for session in created}
    table = Table(f"{len(answers)} requests at once", ["what", "figure"])
    table.rows = [
        ["sessions, and how many are allowed", f"{len(created)}, {LIVE}"],
        ["users with more sessions than one", str(sum(count > 1 for count in users.values()))],
        ["sessions without a token", str(len(live - given))],
        ["tokens without a session", str(len(given - live))],
        ["refusals without a reason", str(sum(not answer.body["error"]["message"] for answer in refused))],
        ["refusals with Retry-After", f"{back} of {len(refused)}"],
    ]
    return table


def _reasons(answers: list[Answer]) -> Table:
    refusals = Counter((a.status, a.code, a.body["error"]["message"]) for a in answers if a.status != 201)
    table = Table("Why they were refused", ["status", "code", "message", "n"])
    table.rows = [[str(status), code, message, str(n)] for (status, code, message), n in refusals.most_common()]
    return table
