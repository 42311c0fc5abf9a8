"""Input of the plan as plain values: pods, room, memory and settings. All times are Unix seconds (UTC)."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple

from voicesession_common.api.constants import EPOCH_ATTRIBUTE
from voicesession_common.api.voiceagent import VoiceAgent

from voicesession_operator.domain.actions import Action
from voicesession_operator.domain.agent_plan import Memory

RETRY_SECONDS: Final = 2.0
"""Delay before a failed action is tried again, unless a retry cannot help."""


class ParticipantKind(StrEnum):
    """LiveKit's participant kinds by name; the numbers differ between its APIs and are never compared."""

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
    """A participant in LiveKit's ListParticipants."""

    identity: str
    sid: str
    kind: ParticipantKind
    active: bool
    """Its media is connected; False while it is joining."""
    hidden: bool = False
    recorder: bool = False
    agent: bool = False
    can_update_metadata: bool = False
    """Its token allows changes of its own attributes."""
    attributes: dict[str, str] = field(default_factory=dict)
    joined_at: float = 0.0


@dataclass(frozen=True)
class Room:
    """The LiveKit room and its participants."""

    sid: str
    participants: tuple[Participant, ...] = ()


@dataclass(frozen=True)
class RoomUnknown:
    """LiveKit did not answer; `reason` is CamelCase for a condition, `message` is stable between retries."""

    reason: str
    message: str
    unreadable_since: float | None = None
    """Time since which LiveKit lists the room but not its participants; None if it lists no rooms either."""


@dataclass(frozen=True)
class RoomOwner:
    """The session for which an operator has created a room, according to the room's metadata."""

    installation: str
    namespace: str
    session: str
    cluster: str = ""
    """Identity of its Kubernetes cluster; empty in rooms of operators that did not know it."""


@dataclass(frozen=True)
class ListedRoom:
    """A room in LiveKit's list of all rooms. LiveKit 1.13.5 renews its number of participants at most every 5 s."""

    sid: str
    num_participants: int
    """Without agents, egress and recorders."""
    owner: RoomOwner | None = None
    """None for a foreign room."""


@dataclass(frozen=True)
class AgentPod:
    """An agent pod controlled by the session (owner reference by UID)."""

    name: str
    uid: str
    ordinal: int
    phase: str
    ip: str = ""
    deleting: bool = False
    created_at: float = 0.0
    problem: str = ""
    """The reason why it cannot start, from Kubernetes, e.g. `CreateContainerConfigError: secret "x" not found`."""

    @property
    def live(self) -> bool:
        """Return True if the pod has neither ended nor been deleted, so that it is or can become the agent."""
        return not self.deleting and self.phase in ("Pending", "Running")


@dataclass(frozen=True)
class Timings:
    """Times of an agent pod, by its own clock; None before the event, or if the pod does not report it."""

    process_started: float | None = None
    prepared: float | None = None
    """Its models are loaded."""
    bound: float | None = None
    joined: float | None = None


@dataclass(frozen=True)
class AgentPodState:
    """An answer of the agent pod's control port (`GET /v1/state`)."""

    state: str
    """Preparing, Unbound, Bound or Ended."""
    session_uid: str = ""
    epoch: int = 0
    participant_sid: str = ""
    """Participant SID with which the job of the current epoch joined; empty while that job is not in the room.

    A client that reconnects keeps its conversation and gets another SID, which livekit-rtc does not report, so LiveKit
    may list the same job under another SID.
    """
    job_epoch: int = 0
    """Epoch of the newest job; 0 before the first job."""
    ended_epoch: int = 0
    """Epoch in which the agent ended the session itself; 0 while it has not."""
    participant_epoch: str = ""
    """Value of EPOCH_ATTRIBUTE in the token with which the newest job joined; empty if the pod does not report it."""
    active_at: float | None = None
    """Last time when a human spoke or joined the room."""
    health: str = ""
    """Ok, or the health problem that the supervisor has found in its job (Stuck, Deaf, Mute, …)."""
    health_message: str = ""
    memory_agent_id: str = ""
    memory_problem: str = ""
    job_restarts: int = 0
    """Number of jobs that followed another job of the same epoch, because that job had died or was unhealthy."""
    humans: tuple[str, ...] = ()
    """Identities of the humans in the room, as its job sees them; only a trigger for a look at the room."""
    left_identity: str = ""
    left_reason: str = ""
    left_at: float = 0.0
    token_expires_at: float | None = None
    """Expiry of its room token; None before it has one, or if the pod does not report it."""
    problem: str = ""
    """The reason why it cannot serve (bad entry point, unknown provider, failed model); empty if it can."""
    timings: Timings = Timings()
    """For measurements only; no decision depends on them."""


class PodNews(NamedTuple):
    """An agent pod's answer to a long poll."""

    tag: str
    """Entity tag of the state."""
    state: AgentPodState | None
    """None if it has not changed."""


class LeaveReason(StrEnum):
    """Ways in which the last human left; they select the grace period."""

    LEFT = "Left"
    CONNECTION_LOST = "ConnectionLost"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class LeaveHint:
    """A webhook's report that a human left or gave up connecting; used only once ListParticipants confirms it."""

    sid: str
    reason: LeaveReason
    at: float
    """Arrival of the report, by the operator's clock: never before the leave."""
    reported_at: float
    """LiveKit's time, in whole seconds. It only orders reports, since reports can overtake each other."""


@dataclass(frozen=True)
class LastSeen:
    """The humans at the latest look at the room that found any."""

    at: float
    room_sid: str
    humans: tuple[Participant, ...]


@dataclass(frozen=True)
class Watch:
    """The time for which this process has watched a session, by its own clock. Time without a look does not count."""

    since: float
    """Start of that time; a longer gap between two looks moves it."""
    last: float
    """Time of the last look."""

    def look(self, now: float, longest_gap: float) -> "Watch":
        """Return the watch after a look at `now`, of which at most `longest_gap` seconds count."""
        passed = now - self.last
        counted = min(max(passed, 0.0), longest_gap)
        return Watch(self.since + passed - counted, now)


@dataclass(frozen=True)
class Failure:
    """A failed action of this pass; `action` is its class name."""

    action: str
    reason: str
    message: str
    terminal: bool


@dataclass(frozen=True)
class Observed:
    """The observations that plan() depends on, besides the session and the time."""

    agent: VoiceAgent | None
    pods: tuple[AgentPod, ...] = ()
    room: Room | RoomUnknown | None = None
    """None: LiveKit has answered that the room does not exist."""
    pod_states: dict[str, AgentPodState] = field(default_factory=dict)
    """States by pod UID. An absent pod has no address or does not answer (yet)."""
    user_memory: Memory | None = None
    """The memory of this session's user; None: not resolved yet, or not used."""
    leave_hints: tuple[LeaveHint, ...] = ()
    """Reports of leaves that the latest look with humans does not contradict, in order of arrival."""
    last_seen: LastSeen | None = None
    """None until this operator process has seen a human in the room."""
    watched_since: float = -inf
    """Time since which this process watches the session, without the gaps."""
    failures: tuple[Failure, ...] = ()
    is_room_cached: bool = False
    """The participants are those of an earlier look, so that no decision may follow from them."""

    def state_of(self, pod: AgentPod | None) -> AgentPodState | None:
        """Return the state reported by the pod, or None if it did not answer."""
        return None if pod is None else self.pod_states.get(pod.uid)

    def agent_in_room(self, pod: AgentPod, identity: str) -> bool:
        """Return True if the pod's own job is active in the room; `identity` is the agent's."""
        return any(participant.active for participant in self.listed_agents(pod, identity))

    def listed_agents(self, pod: AgentPod, identity: str) -> tuple[Participant, ...]:
        """Return LiveKit's participants that are the pod's own job, according to its own report.

        All jobs of a session have one identity, and LiveKit keeps one participant of an identity. The epoch, which is
        in the token and thus survives a reconnect, separates the jobs of two pods.
        """
        state = self.state_of(pod)
        if state is None or not state.participant_sid or not isinstance(self.room, Room):
            return ()
        same_identity = (p for p in self.room.participants if p.identity == identity)
        return tuple(p for p in same_identity if state.participant_epoch in ("", p.attributes.get(EPOCH_ATTRIBUTE)))

    def failure_of(self, kind: type[Action]) -> Failure | None:
        """Return the failure of an action of this class."""
        return next((failure for failure in self.failures if failure.action == kind.__name__), None)

    def without_failed(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Return the actions without those that have just failed, so that the rounds of one pass end."""
        return tuple(action for action in actions if self.failure_of(type(action)) is None)

    def retry_after(self, poll_seconds: float) -> float | None:
        """Return the seconds until the next try, or None if nothing failed."""
        if not self.failures:
            return None
        return poll_seconds if all(failure.terminal for failure in self.failures) else RETRY_SECONDS


@dataclass(frozen=True)
class Config:
    """Settings of one installation, applied to every session; contains no secrets."""

    agent_image: str
    """Image of agent pods if the VoiceAgent names none."""
    pull_policy: str
    control_public_key: str
    """Base64 of the 32 raw bytes of the Ed25519 public key; agent pods verify the operator's requests with it."""
    livekit_url: str
    public_url: str
    """LiveKit's URLs (`ws://…`): for agent pods; and for humans, copied to `status.room.url`."""
    installation_id: str
    """Mark of this installation's rooms, so that the sweep of orphan rooms leaves all other rooms alone."""
    otlp_endpoint: str = ""
    """Endpoint for the spans of agent pods; empty disables tracing."""
    poll_seconds: float = 10.0
    """Longest time between two observations of a live session, without jitter."""
