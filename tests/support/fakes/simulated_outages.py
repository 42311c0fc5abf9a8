"""A simulated cluster with absent operators, clocks that differ, and a VoiceAgent that changes."""

from dataclasses import dataclass, field, replace
from math import floor
from typing import Any

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_common.api.voicesession import VoiceSession
from voicesession_operator.domain.actions import Plan
from voicesession_operator.domain.observed import Observed, Watch

from tests.support.builders import AGENT, CONFIG, T0, UID
from tests.support.fakes.simulated_cluster import SimulatedCluster

LONGEST_GAP_SECONDS = 3 * CONFIG.poll_seconds


@dataclass
class OutageCluster(SimulatedCluster):
    """The true time is `now`, as in LiveKit; the leading operator's clock has `operator_skew`."""

    spec: JsonObject = field(default_factory=dict)
    """The session's own `limits` and `onLastHumanLeft`."""
    api_server_skew: float = 0.0
    watch: Watch | None = None
    """The watch of the leading operator; None before its first look."""
    created: list[float] = field(default_factory=list)
    """True times of all created pods."""
    humans_at_end: frozenset[str] = frozenset()
    """The humans in the room at the end of the session."""

    @property
    def operator_now(self) -> float:
        """Return the time of the leading operator's clock."""
        return self.now + self.operator_skew

    def replace_operator(self, away: float, skew: float) -> None:
        """Let another operator lead, after that many seconds without any."""
        self.now += away
        self.operator_skew, self.watch = skew, None

    def look_without_answer(self) -> None:
        """Reconcile while LiveKit does not answer, for one look."""
        up, self.livekit_up = self.livekit_up, False
        self.reconcile()
        self.livekit_up = up

    def observe(self) -> Observed:
        last = self.watch or Watch(self.operator_now, self.operator_now)
        self.watch = last.look(self.operator_now, LONGEST_GAP_SECONDS)
        return replace(super().observe(), watched_since=self.watch.since)

    def reconcile(self) -> Plan:
        """Run one pass with the settings of the stored status and of the VoiceAgent of this moment."""
        raw = {
            "metadata": {"namespace": "default", "name": "hello", "uid": UID, "creationTimestamp": to_rfc3339(T0)},
            "spec": {"agentRef": {"name": AGENT}, **self.spec},
            "status": self.session.status.render(),
        }
        parsed = VoiceSession.parse(raw, self.agent.spec if self.agent else None)
        self.session = replace(self.session, limits=parsed.limits, on_last_human_left=parsed.on_last_human_left)
        return super().reconcile()

    def store(self, found: Plan) -> None:
        if found.status.finished_at is not None and self.session.status.finished_at is None:
            self.humans_at_end = frozenset(self.humans)
        super().store(found)

    def _create_pod(self, manifest: dict[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        is_new = name not in self.pods
        super()._create_pod(manifest)
        if is_new:
            self.created.append(self.now)
            created_at = float(floor(self.now + self.api_server_skew))
            self.pods[name] = replace(self.pods[name], created_at=created_at)
