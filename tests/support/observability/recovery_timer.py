"""Times from a fault until its detection and until the recovery, printed and added to the test's report."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.cluster.kubectl import KubectlError
from tests.support.cluster.scenario import Scenario
from tests.support.observability import pod_log
from tests.support.polling import until

Record = Callable[[str, object], None]
"""pytest's record_property."""
HEALTH = "AgentHealthy"
POLL_SECONDS = 0.1


class RecoveryTimer:
    """Starts at construction, right after the fault.

    A problem may disappear between two looks at the session; its Warning event stays.
    """

    def __init__(self, scenario: Scenario, name: str, *reasons: str, record: Record) -> None:
        self._scenario, self._name, self._reasons, self._record = scenario, name, reasons, record
        self._begin = time.time()

    def wait_until_detected(self, within: float) -> None:
        """Wait for a condition that is not True, or for an event, with one of the reasons."""
        reason = until(self._reported_reason, f"one of {self._reasons} reported", within, POLL_SECONDS)
        self._report(f"detected as {reason}")

    def detect_by_speaking(self, speak: Callable[[], object], times: int, within: float) -> None:
        """Speak up to `times` times until the fault is detected."""
        with ThreadPoolExecutor(1) as pool:
            detection = pool.submit(self.wait_until_detected, within)
            for _ in range(times):
                if not detection.done():
                    speak()
            detection.result()

    def wait_until_logged(self, pod: str, event: str, within: float) -> None:
        """Wait for the event in the pod's log; a fault may be repaired before it is reported elsewhere."""
        found = pod_log.wait_for_entries(self._scenario.kube, pod, self._scenario.namespace, event, within)
        self._report(f"detected by its pod ({event})", float(found[0]["time"]))

    def wait_until_recovered(self, old_sid: str, within: float) -> None:
        """Wait for another agent in the room, and for a Ready session with a healthy agent."""
        try:
            until(lambda: self._has_recovered(old_sid), f"{self._reasons[0]} healed", within, POLL_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{late}; status: {self._scenario.session(self._name).status}") from None
        self._report("healed")

    def _reported_reason(self) -> str | None:
        found = self._scenario.find_session(self._name)
        conditions = [c for c in found.status.get("conditions", ()) if c["status"] == "False"] if found else []
        try:
            events = self._scenario.kube.events(self._scenario.namespace, self._name)
        except KubectlError:
            events = []
        reported = {entry["reason"] for entry in (*conditions, *events)}
        return next((reason for reason in self._reasons if reason in reported), None)

    def _has_recovered(self, old_sid: str) -> bool:
        found = self._scenario.find_session(self._name)
        if found is None or not found.is_true("Ready"):
            return False
        is_healthy = found.condition(HEALTH).get("status", "True") == "True"
        return is_healthy and self._scenario.agent_sid(found) not in ("", old_sid)

    def _report(self, milestone: str, at: float | None = None) -> None:
        """Report the time until `at` (Unix seconds) or now; 0 if `at` is before the timer's start."""
        seconds = max(0.0, (time.time() if at is None else at) - self._begin)
        self._record(f"{self._reasons[0]}: {milestone}, s", round(seconds, 2))
        print(f"{self._reasons[0]}: {milestone} after {seconds:.1f} s")
