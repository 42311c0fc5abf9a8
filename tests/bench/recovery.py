"""Each stuck state and a dead job, made once: from the fault until it is found, and until it is healed."""

from collections.abc import Callable
from functools import partial

from tests.bench.environment import ground
from tests.bench.figures import Section, Table
from tests.e2e import test_agent_recovery, test_crash
from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, KubectlError
from tests.support.cluster.scenario import Trial
from tests.support.observability.recovery_timer import Record

State = Callable[[Trial, Json, Record], None]
"""Makes a session ill and sees it healed. Raises AssertionError when that takes too long."""


def _engine(what: str, trial: Trial, agent: Json, record: Record) -> None:
    test_agent_recovery.test_an_agent_with_an_engine_that_does_not_work(trial, agent, what, record)


STATES: dict[str, State] = {
    "job stopped (SIGSTOP)": test_agent_recovery.test_a_stopped_job_is_replaced,
    "event loop blocked": lambda trial, _, record: test_agent_recovery.test_a_blocked_event_loop_is_replaced(
        trial, record
    ),
    "job killed (SIGKILL)": lambda trial, agent, record: test_crash.test_a_new_agent_comes_into_the_same_room(
        trial, agent, "agent job", record
    ),
    "language model does not answer": test_agent_recovery.test_a_language_model_that_does_not_answer,
    "recognition fails in every turn": partial(_engine, "recognition fails"),
    "speech synthesis fails in every turn": partial(_engine, "speech fails"),
    "deaf: sound arrives, no word is recognized": partial(_engine, "deaf"),
    "mute: text is made, no sound": partial(_engine, "silent"),
    "mute: its track is muted": test_agent_recovery.test_an_agent_that_speaks_and_is_not_heard,
    "connection to LiveKit cut": test_agent_recovery.test_an_agent_whose_connection_is_cut,
    "room deleted behind our back": test_agent_recovery.test_a_room_that_somebody_else_has_deleted,
}


def run(rounds: int) -> Section:
    table = Table("In s since the fault", ["state", "found by", "found after", "healed after"])
    misses: list[str] = []
    for what, state in STATES.items():
        for _ in range(rounds):
            times: dict[str, float] = {}
            try:
                _one(what, state, times)
            except (AssertionError, KubectlError) as error:
                misses.append(f"{what}: {str(error).partition(chr(10))[0]}")
            table.rows.append(row(what, times))
    return Section("healing", "13. Stuck states", [table], [NOTE], misses)


NOTE = (
    "Found: the session's conditions or events name it, or the pod's own log where a job is back before the operator "
    "has looked. Healed: another agent is in the room, the session is Ready, and AgentHealthy, where there is one, is "
    "True again. What shows only when somebody speaks includes her speaking; the language model and the connection "
    "are mended by the test, once they were found or while they are healed."
)


def row(what: str, times: dict[str, float]) -> list[str]:
    """`times` by the names that Healing records, the finding first; what never came is a dash."""
    found = next((name for name in times if "detected" in name), "")
    healed = next((name for name in times if "healed" in name), "")
    by = found.partition("detected ")[2].removesuffix(", s").removeprefix("as ").removeprefix("by ")
    return [what, by or "-", _seconds(times.get(found)), _seconds(times.get(healed))]


def _one(what: str, state: State, times: dict[str, float]) -> None:
    with ground("healing") as here:

        def record(name: str, seconds: object) -> None:
            times[name] = float(str(seconds))
            here.say(f"{what}: {name} {seconds}")

        try:
            state(here.trial, manifests.example_agent(), record)
        finally:
            here.kube.delete("voicesession", "call", here.trial.namespace)
        here.trial.gone()


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
