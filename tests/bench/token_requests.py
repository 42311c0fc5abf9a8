"""Many people ask two replicas of the gateway for a token at the same moment, with limits on."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.environment import Ground, ground
from tests.bench.figures import Section, Table, distribution
from tests.support.cluster import gateway
from tests.support.cluster.gateway import Answer, Gateway, at_once, replica, token_body
from tests.support.cluster.kubectl import Json
from tests.support.polling import until

AGENT = "joins"
USERS, LIVE = 50, 8
"""So many sessions at once the machine bears."""
KNOWN_SECONDS = 20
GONE_SECONDS = 120
NOTE = (
    f"{USERS} users of one caller, one live session for a user and {LIVE} for the caller. Every user asks both of two "
    "replicas; every second one asks them for two things, a session of her own and a room, of which she may have one. "
    "The agents only join. A token is handed out when its session is Ready, so the upper row is the time in which this "
    "machine starts all the agents at once."
)


def run(rounds: int) -> Section:
    """`rounds` is how many requests."""
    with ground("asking") as here, tempfile.TemporaryDirectory() as folder:
        here.kube.apply(gateway.agent(AGENT, here.trial.namespace))
        with _replicas(here, Path(folder), rounds) as people:
            answers = at_once([(people[number % 2], _request(number)) for number in range(rounds)])
            made = here.kube.all("voicesessions", here.trial.namespace)
            here.say(f"{rounds} requests: {dict(Counter(answer.status for answer in answers))}, {len(made)} sessions")
            _end(people[0], made)
        here.trial.gone(GONE_SECONDS)
    seconds = {
        "answered with a token (201)": [a.seconds for a in answers if a.status == 201],
        "refused above a limit (429)": [a.seconds for a in answers if a.status == 429],
        "anything else": [a.seconds for a in answers if a.status not in (201, 429)],
    }
    tables = [distribution("From the request to its answer, in s", seconds), _outcome(answers, made), _reasons(answers)]
    return Section("asking", "12. Token requests", tables, [NOTE])


@contextmanager
def _replicas(here: Ground, folder: Path, count: int) -> Iterator[tuple[Gateway, Gateway]]:
    """Two that know the agent; their limits are on sessions, so many requests are no flood."""
    limits = {"CALLER_SESSIONS": str(LIVE), "USER_SESSIONS": "1"}
    rates = {"CALLER_BURST": str(2 * count), "USER_BURST": str(count)}
    begin = partial(replica, here.kube, here.trial.livekit, here.trial.namespace, folder)
    with begin(**limits, **rates) as first, begin(**limits, **rates) as second:
        for people in (first, second):
            _wait_for_agent(people)
        yield first, second


def _request(number: int) -> Json:
    user = f"user-{number // 2 % USERS}"
    room = {"room_name": f"room-of-{user}"} if number % 4 == 3 else {}
    return token_body(AGENT, participant_identity=user, **room)


def _wait_for_agent(people: Gateway) -> None:
    until(lambda: people.knows(AGENT), "the gateway knows the agent", KNOWN_SECONDS)


def _end(people: Gateway, made: list[Json]) -> None:
    """As people do it: by the session API."""
    for session in made:
        assert people.ask("DELETE", f"/api/v1/sessions/{session['metadata']['name']}").status == 204


def _outcome(answers: list[Answer], made: list[Json]) -> Table:
    users = Counter(session["spec"]["user"] for session in made)
    given = {answer.session for answer in answers if answer.status == 201}
    refused = [answer for answer in answers if answer.status != 201]
    back = sum("retry-after" in answer.headers for answer in refused)
    live = {session["metadata"]["name"] for session in made}
    table = Table(f"{len(answers)} requests at once", ["what", "figure"])
    table.rows = [
        ["sessions, and how many are allowed", f"{len(made)}, {LIVE}"],
        ["users with more sessions than one", str(sum(count > 1 for count in users.values()))],
        ["sessions for which nobody has a token", str(len(live - given))],
        ["tokens for a session that is not there", str(len(given - live))],
        ["refusals without a reason", str(sum(not answer.body["error"]["message"] for answer in refused))],
        ["refusals that say when to come back", f"{back} of {len(refused)}"],
    ]
    return table


def _reasons(answers: list[Answer]) -> Table:
    told = Counter((a.status, a.code, a.body["error"]["message"]) for a in answers if a.status != 201)
    table = Table("Why they were refused", ["status", "code", "message", "n"])
    table.rows = [[str(status), code, message, str(n)] for (status, code, message), n in told.most_common()]
    return table
