"""What this pod is, as the control port tells it: pure, every change is a method and takes its time from outside."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from voicesession_agent.health.diagnosis import Diagnosis
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.reset import Outcome, Reset


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

    def ago(self, now: float) -> int:
        """Milliseconds."""
        return round(max(0.0, now - self.at) * 1000)


@dataclass(frozen=True)
class MemoryStatus:
    agent_id: str = ""
    phase: MemoryPhase = MemoryPhase.NONE
    message: str = ""


@dataclass(frozen=True)
class CaptureStatus:
    """Turns that wait for memory, that never reached it, and that were sent to it again for want of an answer."""

    backlog: int = 0
    lost: int = 0
    repeated: int = 0


@dataclass
class PodState:
    pod_uid: str
    process_started: float
    prepared_at: float | None = None
    bound_at: float | None = None
    joined_at: float | None = None
    desired: DesiredState | None = None
    ended: bool = False
    job: JobPhase = JobPhase.NONE
    participant_sid: str = ""
    launches: int = 0
    """Jobs started so far; the newest one's number tells its reports from those of one that is still going."""
    dismissed: int = 0
    """Jobs up to this number are on their way out, and what they report of the room counts no more."""
    job_epoch: int = 0
    """What the newest job was started for; 0 before the first."""
    restarts: int = 0
    reset: Reset | None = None
    diagnosis: Diagnosis | None = None
    """What was last found wrong with a job, until the next one has been seen to work."""
    health_restarts: int = 0
    humans: tuple[str, ...] = ()
    active_at: float | None = None
    """Unix seconds at which a human last spoke or came, or the agent last spoke."""
    last_human_left: HumanLeft | None = None
    greeted: set[str] = field(default_factory=set)
    memory_status: Callable[[], MemoryStatus] = MemoryStatus
    capture_status: Callable[[], CaptureStatus] = CaptureStatus
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
        return Phase.UNBOUND if self.desired is None else Phase.BOUND

    @property
    def ready(self) -> bool:
        """Whether a job waits with its models loaded, or runs."""
        return self.prepared_at is not None and not self.prepare_trouble and not self.ended

    def accepts(self, launch: int) -> bool:
        """Whether this job's reports are about the pod's present."""
        return launch == self.launches and launch > self.dismissed

    @property
    def job_required(self) -> bool:
        return self.desired is not None and self.ready

    @property
    def desired_epoch(self) -> int:
        return self.desired.epoch if self.desired else 0

    def set_desired_state(self, desired: DesiredState, now: float) -> bool:
        """Take the wanted state and answer whether it begins a reset; raise OtherSessionError when bound to another.

        Epoch and end never go back.
        """
        before = self.desired
        if before is not None and before.session_uid != desired.session_uid:
            raise OtherSessionError
        if before is not None and desired.epoch < before.epoch:
            return False
        if before is None:
            self.bound_at = now
        self.desired = desired
        self.ended = self.ended or desired.end
        if before is None or desired.epoch == before.epoch or self.ended:
            return False
        self._reset_begins(desired, now)
        return True

    def _reset_begins(self, desired: DesiredState, now: float) -> None:
        """A job that has not joined yet has heard nobody: it will do, unless it was told whom not to greet."""
        self.reset = Reset(desired.epoch, desired.cause, now)
        if self.job is JobPhase.STARTING and not self.greeted:
            self.job_epoch = desired.epoch
        else:
            self.dismiss()
        self.greeted.clear()
        self.last_human_left = self.active_at = None

    def dismiss(self) -> None:
        """The job of now is to go, and the next one to come."""
        self.dismissed = self.launches
        self.participant_sid, self.humans = "", ()

    def prepared(self, now: float) -> None:
        """A process has loaded its models (again): whatever stood in the way is gone."""
        self.prepared_at = self.prepared_at or now
        self.prepare_trouble = ""

    def job_starts(self) -> int:
        """Count a launch and answer its number."""
        if self.launches and self.desired_epoch == self.job_epoch:
            self.restarts += 1
        self.launches += 1
        self.job_epoch = self.desired_epoch
        self.job, self.participant_sid, self.humans = JobPhase.STARTING, "", ()
        return self.launches

    def job_joined(self, sid: str, now: float) -> Reset | None:
        """Answer the reset that this completes, if any."""
        self.job, self.participant_sid, self.job_trouble = JobPhase.JOINED, sid, ""
        self.joined_at = self.joined_at or now
        if self.reset is None or not self.reset.open:
            return None
        self.reset.complete(now)
        return self.reset

    def job_exited(self) -> None:
        self.job, self.participant_sid, self.humans = JobPhase.EXITED, "", ()

    def reset_escalates(self) -> None:
        if self.reset is not None and self.reset.open:
            self.reset.outcome = Outcome.ESCALATED

    def set_humans(self, identities: tuple[str, ...], now: float) -> None:
        self.humans = identities
        if identities:
            self.last_human_left = None
            self.active_at = self.active_at or now

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
            "sessionUID": self.desired.session_uid if self.desired else "",
            "epoch": self.desired_epoch,
            "job": {
                "state": self.job.value,
                "participantSID": self.participant_sid,
                "restarts": self.restarts,
                "epoch": self.job_epoch,
            },
            "reset": None if self.reset is None else self.reset.render(),
            "health": {
                "state": "Ok" if self.diagnosis is None else self.diagnosis.problem.value,
                "message": "" if self.diagnosis is None else self.diagnosis.message,
                "remedies": self.health_restarts,
            },
            "humans": list(self.humans),
            "activeAt": self.active_at,
            "lastHumanLeft": None
            if left is None
            else {"identity": left.identity, "reason": left.reason, "at": left.at},
            "memory": {
                "agentID": memory.agent_id,
                "state": memory.phase.value,
                "message": memory.message,
            },
            "capture": asdict(self.capture_status()),
            "trouble": self.trouble,
            "timings": {
                "processStarted": self.process_started,
                "prepared": self.prepared_at,
                "bound": self.bound_at,
                "joined": self.joined_at,
            },
        }
