"""What the operator has seen of one session's world, as plain values. All times are Unix seconds (UTC)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_operator.domain.actions import Action
from voicesession_operator.domain.agent_plan import Memory


class Kind(StrEnum):
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
    kind: Kind
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
class Unknown:
    """The outside could not be asked; `reason` is CamelCase for a condition, `message` is stable between retries."""

    reason: str
    message: str


@dataclass(frozen=True)
class Pod:
    """One agent pod that the session controls (owner reference by UID)."""

    name: str
    uid: str
    ordinal: int
    phase: str
    ip: str = ""
    deleting: bool = False
    created_at: float = 0.0
    trouble: str = ""
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
class PodState:
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
    memory_trouble: str = ""
    job_restarts: int = 0
    """Jobs that followed another one for the same epoch, because that one had died or was found ill."""
    left_identity: str = ""
    left_reason: str = ""
    left_at: float = 0.0
    trouble: str = ""
    """Why it cannot serve (bad entrypoint, unknown provider, model that cannot be loaded); empty when it can."""
    timings: Timings = Timings()
    """For measurements only; nothing is decided by them."""


class LeaveReason(StrEnum):
    """How the last human went: decides which of the two graces applies."""

    LEFT = "Left"
    CONNECTION_LOST = "ConnectionLost"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Leave:
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
    pods: tuple[Pod, ...] = ()
    room: Room | Unknown | None = None
    """None: asked, and it does not exist."""
    pod_states: dict[str, PodState] = field(default_factory=dict)
    """By pod UID; a pod that is missing has no address or does not answer (yet)."""
    user_memory: Memory | None = None
    """Where this session's user is remembered; None: nobody has found out yet, or there is nothing to find out."""
    leave: Leave | None = None
    failures: tuple[Failure, ...] = ()

    def state_of(self, pod: Pod | None) -> PodState | None:
        """What that pod answered."""
        return None if pod is None else self.pod_states.get(pod.uid)

    def is_in(self, pod: Pod) -> bool:
        """Whether the job that this pod calls its own is seen in the room."""
        state = self.state_of(pod)
        if state is None or not state.participant_sid or not isinstance(self.room, Room):
            return False
        return any(p.active and p.sid == state.participant_sid for p in self.room.participants)


RETRY_SECONDS: Final = 2.0
"""Until an action that failed is tried again, unless trying again cannot help."""


def failure_of(observed: Observed, kind: type[Action]) -> Failure | None:
    """The failure of an action of this kind; `Failure.action` is the action's class name."""
    return next((failure for failure in observed.failures if failure.action == kind.__name__), None)


def without_failed(actions: tuple[Action, ...], observed: Observed) -> tuple[Action, ...]:
    """Leave out what has just failed, so that the rounds of one pass come to rest."""
    failed = {failure.action for failure in observed.failures}
    return tuple(action for action in actions if type(action).__name__ not in failed)


def retry_after(observed: Observed, poll_seconds: float) -> float | None:
    """Seconds until the next try; None when nothing failed."""
    if not observed.failures:
        return None
    return poll_seconds if all(failure.terminal for failure in observed.failures) else RETRY_SECONDS
