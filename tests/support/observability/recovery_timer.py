"""From a fault until it is found, and until it is healed: both times are printed and kept in the test's report."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.support.cluster.kubectl import KubectlError
from tests.support.cluster.scenario import Trial
from tests.support.observability import pod_log
from tests.support.polling import until

Record = Callable[[str, object], None]
"""pytest's record_property."""
HEALTH = "AgentHealthy"
POLL_SECONDS = 0.1


class Healing:
    """Made right after the fault. What is found may be mended before anybody looks: its Warning event stays."""

    def __init__(self, trial: Trial, name: str, *reasons: str, record: Record) -> None:
        self._trial, self._name, self._reasons, self._record = trial, name, reasons, record
        self._begin = time.time()

    def detected(self, within: float) -> None:
        """Wait for a condition that is not True, or an event, with one of the reasons."""
        reason = until(self._told, f"one of {self._reasons} found", within, POLL_SECONDS)
        self._took(f"detected as {reason}")

    def detected_by(self, speak: Callable[[], object], times: int, within: float) -> None:
        """The same for what shows only when somebody speaks: she does so up to so many times, until it is found."""
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(self.detected, within)
            for _ in range(times):
                if not watching.done():
                    speak()
            watching.result()

    def logged(self, pod: str, event: str, within: float) -> None:
        """Wait for the first line of this event in the pod's log: what is mended at once may be told nowhere else."""
        found = pod_log.awaited(self._trial.kube, pod, self._trial.namespace, event, within)
        self._took(f"detected by its pod ({event})", float(found[0]["time"]))

    def healed(self, old_sid: str, within: float) -> None:
        """Wait for another agent in the room, and for a session that says that all is well."""
        try:
            until(lambda: self._is_well(old_sid), f"{self._reasons[0]} healed", within, POLL_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{late}; status: {self._trial.session(self._name).status}") from None
        self._took("healed")

    def _told(self) -> str | None:
        found = self._trial.find(self._name)
        troubles = [c for c in found.status.get("conditions", ()) if c["status"] == "False"] if found else []
        try:
            events = self._trial.kube.events(self._trial.namespace, self._name)
        except KubectlError:
            events = []
        told = {entry["reason"] for entry in (*troubles, *events)}
        return next((reason for reason in self._reasons if reason in told), None)

    def _is_well(self, old_sid: str) -> bool:
        found = self._trial.find(self._name)
        if found is None or not found.is_true("Ready"):
            return False
        sound = found.condition(HEALTH).get("status", "True") == "True"
        return sound and self._trial.agent_sid(found) not in ("", old_sid)

    def _took(self, what: str, at: float | None = None) -> None:
        """Until `at` (Unix seconds) or now; what was found before a slow command returned took no time."""
        seconds = max(0.0, (time.time() if at is None else at) - self._begin)
        self._record(f"{self._reasons[0]}: {what}, s", round(seconds, 2))
        print(f"{self._reasons[0]}: {what} after {seconds:.1f} s")
