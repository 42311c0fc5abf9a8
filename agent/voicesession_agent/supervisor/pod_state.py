"""The state of the pod, as the control port returns it. Pure: every change is a method with the time as argument."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from voicesession_agent.health.diagnosis import Diagnosis
from voicesession_agent.memory.backend import MemoryStatus
from voicesession_agent.protocol import Conversation, Message
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.reset import Outcome, Reset

TROUBLE_CHARACTERS: Final = 1024
"""Longest problem that is reported: a custom entry point may raise any text, and the operator ignores a long answer."""


class PodPhase(StrEnum):
    """Phase of the pod; the control port's `state`."""

    PREPARING = "Preparing"
    UNBOUND = "Unbound"
    BOUND = "Bound"
    ENDED = "Ended"


class JobPhase(StrEnum):
    """Phase of the newest job."""

    NONE = "None"
    STARTING = "Starting"
    JOINED = "Joined"
    EXITED = "Exited"


class OtherSessionError(Exception):
    """The pod is bound to another session until it ends."""


@dataclass(frozen=True)
class HumanLeft:
    """A human's leave: `reason` is the name of LiveKit's DisconnectReason, `at` is in Unix seconds."""

    identity: str
    reason: str
    at: float

    def elapsed_ms(self, now: float) -> int:
        """Return the milliseconds since the leave."""
        return round(max(0.0, now - self.at) * 1000)


@dataclass(frozen=True)
class CaptureStatus:
    """Numbers of turns that wait, that were lost, and that were sent again because a response was missing."""

    backlog: int = 0
    lost: int = 0
    repeated: int = 0


@dataclass
class PodState:
    """All facts about the pod, its jobs and the humans in the room. Times are Unix seconds, except in `reset`."""

    pod_uid: str
    process_started: float
    prepared_at: float | None = None
    bound_at: float | None = None
    joined_at: float | None = None
    desired: DesiredState | None = None
    ended: bool = False
    """The process has got a signal to end."""
    ended_epoch: int = 0
    """Epoch in which the agent ended its session; 0 while it has not, and again after a reset."""
    job: JobPhase = JobPhase.NONE
    participant_sid: str = ""
    """SID of the newest job's join; empty while that job is not in the room. A reconnect does not change it here."""
    participant_epoch: str = ""
    """Epoch in the token of the newest job; a job that has not joined can serve a later epoch with the same token."""
    launches: int = 0
    """Number of launches; it identifies the newest job, so that reports of older jobs can be ignored."""
    dismissed: int = 0
    """Jobs up to this number are draining; their reports about the room are ignored."""
    job_epoch: int = 0
    """Epoch of the newest job; 0 before the first job."""
    restarts: int = 0
    reset: Reset | None = None
    diagnosis: Diagnosis | None = None
    """Last problem of a job, until the next job is proven to work."""
    health_restarts: int = 0
    humans: tuple[str, ...] = ()
    active_at: float | None = None
    """Time at which a human last spoke or joined, or the agent last spoke."""
    last_human_left: HumanLeft | None = None
    greeted: set[str] = field(default_factory=set)
    history: tuple[Message, ...] = field(default=(), repr=False)
    """The newest messages of this epoch, for the next job or pod; never logged, and no part of the state's JSON."""
    summary: str = field(default="", repr=False)
    """Summary of the older messages of this epoch, treated like `history`."""
    memory_status: Callable[[], MemoryStatus] = MemoryStatus
    capture_status: Callable[[], CaptureStatus] = CaptureStatus
    prepare_trouble: str = ""
    """Problem of the last preparation; no job starts until a process is prepared."""
    explained_pid: int = 0
    """Process whose own words are in `prepare_trouble`."""
    job_trouble: str = ""
    """Problem of the current job; the next job may succeed."""

    @property
    def trouble(self) -> str:
        return self.prepare_trouble or self.job_trouble

    @property
    def has_ended(self) -> bool:
        """Return True if no job follows the current one."""
        return self.ended or self.ended_epoch > 0

    @property
    def phase(self) -> PodPhase:
        if self.has_ended:
            return PodPhase.ENDED
        if self.prepared_at is None:
            return PodPhase.PREPARING
        return PodPhase.UNBOUND if self.desired is None else PodPhase.BOUND

    @property
    def ready(self) -> bool:
        """Return True if a prepared process waits, or a job runs."""
        return self.prepared_at is not None and not self.prepare_trouble and not self.has_ended

    def accepts(self, launch: int) -> bool:
        """Return True if reports of this job still count."""
        return launch == self.launches and launch > self.dismissed

    @property
    def job_required(self) -> bool:
        return self.desired is not None and self.ready

    @property
    def next_is_prewarmed(self) -> bool:
        """Return True if a process is prepared while a job runs, because a reset will need it."""
        return self.desired is not None and self.desired.prewarm

    @property
    def conversation(self) -> Conversation:
        """Return the conversation of this epoch, which another pod can continue."""
        return Conversation(frozenset(self.greeted), self.history, self.summary)

    @property
    def is_in_conversation(self) -> bool:
        """Return True while the job is in the room with a human."""
        return self.job is JobPhase.JOINED and bool(self.humans) and not self.has_ended

    @property
    def desired_epoch(self) -> int:
        return self.desired.epoch if self.desired else 0

    def set_desired_state(self, desired: DesiredState, now: float, timer: float) -> bool:
        """Set the desired state and return True if it starts a reset. Raises OtherSessionError.

        The epoch never goes back. `timer` is the time of a clock that is never set, for the reset's duration.
        """
        before = self.desired
        if before is not None and before.session_uid != desired.session_uid:
            raise OtherSessionError
        if before is not None and desired.epoch < before.epoch:
            return False
        if before is None:
            self.bound_at = now
            self._continue(desired.conversation)
        self.desired = desired
        if before is None or desired.epoch == before.epoch or self.ended:
            return False
        self._start_reset(desired, timer)
        return True

    def _continue(self, conversation: Conversation) -> None:
        self.greeted = set(conversation.greeted)
        self.history, self.summary = conversation.history, conversation.summary

    def _start_reset(self, desired: DesiredState, timer: float) -> None:
        """Start a reset. A job that has not joined can serve the new epoch, unless it knows people or words."""
        self.reset = Reset(desired.epoch, desired.cause, timer, desired.prewarm)
        knows = self.greeted or self.history or self.ended_epoch
        if self.job is JobPhase.STARTING and not knows:
            self.job_epoch = desired.epoch
        else:
            self.dismiss()
        self.greeted.clear()
        self.ended_epoch = 0
        self.history, self.summary = (), ""
        self.last_human_left = self.active_at = None

    def dismiss(self) -> None:
        """Dismiss the current job, so that the next one starts."""
        self.dismissed = self.launches
        self.participant_sid, self.humans = "", ()

    def agent_ended(self) -> None:
        """Record that the agent of the current epoch has ended its session."""
        self.ended_epoch = self.desired_epoch

    def prepared(self, now: float) -> bool:
        """Record that a process is prepared, which clears a preparation problem; return True for the first one."""
        is_first = self.prepared_at is None
        self.prepared_at = self.prepared_at or now
        self.prepare_trouble = ""
        return is_first

    def unprepared(self, text: str, pid: int) -> None:
        """Record the words of a process that cannot run a job."""
        self.prepare_trouble, self.explained_pid = text, pid

    def process_lost(self, text: str, pid: int) -> bool:
        """Record the end of a process that never had a job, and return True unless its own words say more."""
        if pid == self.explained_pid:
            return False
        self.prepare_trouble = text
        return True

    def job_starts(self) -> int:
        """Count a launch and return its number."""
        if self.launches and self.desired_epoch == self.job_epoch:
            self.restarts += 1
        self.launches += 1
        self.job_epoch = self.desired_epoch
        self.job, self.participant_sid, self.humans = JobPhase.STARTING, "", ()
        return self.launches

    def job_joined(self, sid: str, now: float, timer: float) -> Reset | None:
        """Record the join, and return the reset that it completes, if any."""
        self.job, self.participant_sid, self.job_trouble = JobPhase.JOINED, sid, ""
        self.joined_at = self.joined_at or now
        if self.reset is None or not self.reset.open:
            return None
        self.reset.complete(timer)
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
        """Record a leave; it is the last human's leave only if the room has no other human."""
        self.humans = tuple(h for h in self.humans if h != left.identity)
        if not self.humans:
            self.last_human_left = left

    def render(self) -> dict[str, Any]:
        """Return the JSON of the control port."""
        left, memory = self.last_human_left, self.memory_status()
        return {
            "podUID": self.pod_uid,
            "state": self.phase.value,
            "sessionUID": self.desired.session_uid if self.desired else "",
            "epoch": self.desired_epoch,
            "endedEpoch": self.ended_epoch,
            "tokenExpiresAt": self.desired.token_expires_at if self.desired else None,
            "job": {
                "state": self.job.value,
                "participantSID": self.participant_sid,
                "participantEpoch": self.participant_epoch,
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
            "trouble": self.trouble[:TROUBLE_CHARACTERS],
            "timings": {
                "processStarted": self.process_started,
                "prepared": self.prepared_at,
                "bound": self.bound_at,
                "joined": self.joined_at,
            },
        }
