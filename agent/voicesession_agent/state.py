"""What this pod is, as the control port tells it: pure, every change is a method and takes its time from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicesession_agent.wanted import Wanted


class Phase(StrEnum):
    PREPARING = "Preparing"
    UNBOUND = "Unbound"
    BOUND = "Bound"
    ENDED = "Ended"


class JobPhase(StrEnum):
    NONE = "None"
    STARTING = "Starting"
    JOINED = "Joined"
    EXITED = "Exited"


class MemoryPhase(StrEnum):
    NONE = "None"
    LOADING = "Loading"
    OK = "Ok"
    UNAVAILABLE = "Unavailable"


class OtherSessionError(Exception):
    """The pod belongs to another session for the rest of its life."""


@dataclass(frozen=True)
class HumanLeft:
    """`reason` is LiveKit's DisconnectReason by name, `at` Unix seconds."""

    identity: str
    reason: str
    at: float


@dataclass(frozen=True)
class MemoryStatus:
    agent_id: str = ""
    phase: MemoryPhase = MemoryPhase.NONE
    message: str = ""


@dataclass
class PodState:
    pod_uid: str
    process_started: float
    prepared_at: float | None = None
    bound_at: float | None = None
    joined_at: float | None = None
    wanted: Wanted | None = None
    ended: bool = False
    job: JobPhase = JobPhase.NONE
    participant_sid: str = ""
    launches: int = 0
    """Jobs started so far; the newest one's number tells its reports from those of one that is still going."""
    humans: tuple[str, ...] = ()
    last_human_left: HumanLeft | None = None
    greeted: set[str] = field(default_factory=set)
    memory_status: Callable[[], MemoryStatus] = MemoryStatus
    prepare_trouble: str = ""
    """Why no job can be prepared here; none is started while it stands."""
    job_trouble: str = ""
    """What keeps the job from its work, though the next one may succeed."""

    @property
    def trouble(self) -> str:
        return self.prepare_trouble or self.job_trouble

    @property
    def phase(self) -> Phase:
        if self.ended:
            return Phase.ENDED
        if self.prepared_at is None:
            return Phase.PREPARING
        return Phase.UNBOUND if self.wanted is None else Phase.BOUND

    @property
    def ready(self) -> bool:
        """Whether a job waits with its models loaded, or runs."""
        return self.prepared_at is not None and not self.prepare_trouble and not self.ended

    def tell(self, wanted: Wanted, now: float) -> None:
        """Take the wanted state; raise OtherSessionError when bound to another. Epoch and end never go back."""
        if self.wanted is not None and self.wanted.session_uid != wanted.session_uid:
            raise OtherSessionError
        if self.wanted is not None and wanted.epoch < self.wanted.epoch:
            return
        if self.wanted is None:
            self.bound_at = now
        self.wanted = wanted
        self.ended = self.ended or wanted.end

    def prepared(self, now: float) -> None:
        """A process has loaded its models (again): whatever stood in the way is gone."""
        self.prepared_at = self.prepared_at or now
        self.prepare_trouble = ""

    def job_starts(self) -> int:
        """Count a launch and answer its number."""
        self.launches += 1
        self.job, self.participant_sid, self.humans = JobPhase.STARTING, "", ()
        return self.launches

    def job_joined(self, sid: str, now: float) -> None:
        self.job, self.participant_sid, self.job_trouble = JobPhase.JOINED, sid, ""
        self.joined_at = self.joined_at or now

    def job_exited(self) -> None:
        self.job, self.participant_sid, self.humans = JobPhase.EXITED, "", ()

    def humans_are(self, identities: tuple[str, ...]) -> None:
        self.humans = identities
        if identities:
            self.last_human_left = None

    def human_left(self, left: HumanLeft) -> None:
        """Note a departure; it is the last human's only when nobody else is there."""
        self.humans = tuple(h for h in self.humans if h != left.identity)
        if not self.humans:
            self.last_human_left = left

    def render(self) -> dict[str, Any]:
        """The body of the control port's answers."""
        left, memory = self.last_human_left, self.memory_status()
        return {
            "podUID": self.pod_uid,
            "state": self.phase.value,
            "sessionUID": self.wanted.session_uid if self.wanted else "",
            "epoch": self.wanted.epoch if self.wanted else 0,
            "job": {
                "state": self.job.value,
                "participantSID": self.participant_sid,
                "restarts": max(0, self.launches - 1),
            },
            "humans": list(self.humans),
            "lastHumanLeft": None
            if left is None
            else {"identity": left.identity, "reason": left.reason, "at": left.at},
            "memory": {
                "agentID": memory.agent_id,
                "state": memory.phase.value,
                "message": memory.message,
            },
            "trouble": self.trouble,
            "timings": {
                "processStarted": self.process_started,
                "prepared": self.prepared_at,
                "bound": self.bound_at,
                "joined": self.joined_at,
            },
        }
