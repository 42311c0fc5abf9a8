"""The times from a fault until its detection and until the recovery, for each fault that the tests cause."""

from collections.abc import Callable
from functools import partial

from tests.bench.environment import bench_environment
from tests.bench.figures import Section, Table
from tests.e2e import test_agent_recovery, test_crash
from tests.support.cluster import manifests
from tests.support.cluster.kubectl import Json, KubectlError
from tests.support.cluster.scenario import Scenario
from tests.support.observability.recovery_timer import Record

Fault = Callable[[Scenario, Json, Record], None]
"""Causes a fault and waits for the recovery; raises AssertionError if it takes too long."""


def _engine(name: str, scenario: Scenario, agent: Json, record: Record) -> None:
    test_agent_recovery.test_faulty_engine_is_detected_and_recovers(scenario, agent, name, record)


FAULTS: dict[str, Fault] = {
    "job stopped (SIGSTOP)": test_agent_recovery.test_stopped_job_is_replaced,
    "event loop blocked": lambda scenario, _, record: test_agent_recovery.test_job_with_blocked_event_loop_is_replaced(
        scenario, record
    ),
    "job killed (SIGKILL)": lambda scenario, agent, record: test_crash.test_crashed_agent_is_replaced_in_same_room(
        scenario, agent, "agent job", record
    ),
    "language model does not answer": test_agent_recovery.test_unanswering_language_model_is_reported_and_recovers,
    "recognition fails in every turn": partial(_engine, "recognition fails"),
    "speech synthesis fails in every turn": partial(_engine, "speech fails"),
    "deaf: sound arrives, no word is recognized": partial(_engine, "deaf"),
    "speech synthesis gives silence": partial(_engine, "silent"),
    "mute: its track is muted": test_agent_recovery.test_muted_agent_is_replaced_and_keeps_conversation,
    "connection to LiveKit cut": test_agent_recovery.test_agent_cut_off_from_livekit_is_replaced,
    "room deleted": test_agent_recovery.test_deleted_room_is_recreated_with_agent,
}


def run(rounds: int) -> Section:
    """Cause each fault `rounds` times."""
    table = Table("In s since the fault", ["state", "found by", "found after", "healed after"])
    misses: list[str] = []
    for name, fault in FAULTS.items():
        for _ in range(rounds):
            times: dict[str, float] = {}
            try:
                _measure_one(name, fault, times)
            except (AssertionError, KubectlError) as error:
                misses.append(f"{name}: {str(error).partition(chr(10))[0]}")
            table.rows.append(row(name, times))
    return Section("healing", "13. Stuck states", [table], [NOTE], misses)


NOTE = (
    "Found: the session's conditions or events name the fault, or the pod's log if a job restarts before the operator "
    "looks. Healed: another agent, or the same one after a failing provider, is in the room, the session is Ready, and "
    "AgentHealthy, if present, is True again. "
    "Times of faults that appear only in a turn include the human's speech; the test repairs the language model and "
    "the connection, after the detection or during the recovery."
)


def row(fault: str, times: dict[str, float]) -> list[str]:
    """Return a row from the times that RecoveryTimer records; a missing time is a dash."""
    found = next((name for name in times if "detected" in name), "")
    healed = next((name for name in times if "healed" in name), "")
    by = found.partition("detected ")[2].removesuffix(", s").removeprefix("as ").removeprefix("by ")
    return [fault, by or "-", _format_seconds(times.get(found)), _format_seconds(times.get(healed))]


def _measure_one(name: str, fault: Fault, times: dict[str, float]) -> None:
    with bench_environment("healing") as env:

        def record(milestone: str, seconds: object) -> None:
            times[milestone] = float(str(seconds))
            env.print_progress(f"{name}: {milestone} {seconds}")

        try:
            fault(env.scenario, manifests.example_agent(), record)
        finally:
            env.kube.delete("voicesession", "call", env.scenario.namespace)
        env.scenario.wait_until_empty()


def _format_seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
