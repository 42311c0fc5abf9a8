"""What the operator has seen of one session's world, as plain values. All times are Unix seconds (UTC)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_operator.domain.actions import Action
from voicesession_operator.domain.agent_plan import Memory

RETRY_SECONDS: Final = 2.0
"""Delay before a failed action is tried again, unless a retry cannot help."""


class ParticipantKind(StrEnum):
    """LiveKit's participant kinds by name (numbers differ between its APIs and are never compared)."""

    STANDARD = "STANDARD"
    INGRESS = "INGRESS"
    EGRESS = "EGRESS"
    SIP = "SIP"
    AGENT = "AGENT"
    CONNECTOR = "CONNECTOR"
    BRIDGE = "BRIDGE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Participant:
    """One participant as ListParticipants tells it."""

    identity: str
    sid: str
    kind: ParticipantKind
    active: bool
    hidden: bool = False
    recorder: bool = False
    agent: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
    joined_at: float = 0.0


@dataclass(frozen=True)
class Room:
    """The LiveKit room and who is in it."""

    sid: str
    participants: tuple[Participant, ...] = ()


@dataclass(frozen=True)
class RoomUnknown:
    """The outside could not be asked; `reason` is CamelCase for a condition, `message` is stable between retries."""

    reason: str
    message: str


@dataclass(frozen=True)
class AgentPod:
    """One agent pod that the session controls (owner reference by UID)."""

    name: str
    uid: str
    ordinal: int
    phase: str
    ip: str = ""
    deleting: bool = False
    created_at: float = 0.0
    problem: str = ""
    """Why it cannot start, in Kubernetes' own words (e.g. `CreateContainerConfigError: secret "x" not found`)."""

    @property
    def live(self) -> bool:
        """Whether it is, or may yet become, the agent: neither ended nor on its way out."""
        return not self.deleting and self.phase in ("Pending", "Running")


@dataclass(frozen=True)
class Timings:
    """An agent pod's own moments, by its own clock; None while they have not happened, or where it does not tell."""

    process_started: float | None = None
    prepared: float | None = None
    """Its models were loaded."""
    bound: float | None = None
    joined: float | None = None


@dataclass(frozen=True)
class AgentPodState:
    """What the agent pod's control port answered (`GET /v1/state`)."""

    state: str
    """Preparing, Unbound, Bound or Ended."""
    session_uid: str = ""
    epoch: int = 0
    participant_sid: str = ""
    """The job's own participant SID in the room; empty while no job of the told epoch is in it."""
    job_epoch: int = 0
    """The epoch that the newest job was started for; 0: none yet."""
    active_at: float | None = None
    """When a human last spoke or came into the room."""
    health: str = ""
    """Ok, or what the pod's supervisor has found wrong with its job (Stuck, Deaf, Mute, …)."""
    health_message: str = ""
    memory_agent_id: str = ""
    memory_problem: str = ""
    job_restarts: int = 0
    """Jobs that followed another one for the same epoch, because that one had died or was found ill."""
    left_identity: str = ""
    left_reason: str = ""
    left_at: float = 0.0
    problem: str = ""
    """Why it cannot serve (bad entrypoint, unknown provider, model that cannot be loaded); empty when it can."""
    timings: Timings = Timings()
    """For measurements only; nothing is decided by them."""


class LeaveReason(StrEnum):
    """How the last human went: decides which of the two graces applies."""

    LEFT = "Left"
    CONNECTION_LOST = "ConnectionLost"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class LeaveHint:
    """A departure that a webhook or the agent told of. A hint: used only once ListParticipants agrees."""

    identity: str
    reason: LeaveReason
    at: float


@dataclass(frozen=True)
class Failure:
    """An action of this pass that did not work."""

    action: str
    reason: str
    message: str
    terminal: bool


@dataclass(frozen=True)
class Observed:
    """Everything plan() may look at besides the session itself and the time."""

    agent: VoiceAgent | None
    pods: tuple[AgentPod, ...] = ()
    room: Room | RoomUnknown | None = None
    """None: asked, and it does not exist."""
    pod_states: dict[str, AgentPodState] = field(default_factory=dict)
    """By pod UID; a pod that is missing has no address or does not answer (yet)."""
    user_memory: Memory | None = None
    """Where this session's user is remembered; None: nobody has found out yet, or there is nothing to find out."""
    leave_hint: LeaveHint | None = None
    failures: tuple[Failure, ...] = ()

    def state_of(self, pod: AgentPod | None) -> AgentPodState | None:
        """What that pod answered."""
        return None if pod is None else self.pod_states.get(pod.uid)

    def agent_in_room(self, pod: AgentPod) -> bool:
        """Whether the job that this pod calls its own is seen in the room."""
        state = self.state_of(pod)
        if state is None or not state.participant_sid or not isinstance(self.room, Room):
            return False
        return any(p.active and p.sid == state.participant_sid for p in self.room.participants)

    def failure_of(self, kind: type[Action]) -> Failure | None:
        """Return the failure of an action of this class."""
        return next((failure for failure in self.failures if failure.action == kind.__name__), None)

    def without_failed(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Leave out actions of the classes that have just failed, so that the rounds of one pass end."""
        failed = {failure.action for failure in self.failures}
        return tuple(action for action in actions if type(action).__name__ not in failed)

    def retry_after(self, poll_seconds: float) -> float | None:
        """Return the seconds until the next try, or None if nothing failed."""
        if not self.failures:
            return None
        return poll_seconds if all(failure.terminal for failure in self.failures) else RETRY_SECONDS
