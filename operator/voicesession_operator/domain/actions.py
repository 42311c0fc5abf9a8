"""Results of plan(): actions, events, decisions and deadlines. All actions are idempotent."""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from voicesession_common import JsonObject
from voicesession_common.api.reasons import Cause, EndReason
from voicesession_common.api.voiceagent import REMEMBER_BLOCK
from voicesession_common.api.voicesession import Status


@dataclass(frozen=True)
class CreateRoom:
    """Create the LiveKit room."""

    name: str
    metadata: str
    max_participants: int


@dataclass(frozen=True)
class DeleteRoom:
    """Delete the LiveKit room."""

    name: str


@dataclass(frozen=True)
class CreatePod:
    """Create an agent pod from the manifest, or claim a warm one with the same spec."""

    manifest: JsonObject


@dataclass(frozen=True)
class DeletePod:
    """Delete the pod with this name and UID."""

    name: str
    uid: str


class PodAddress(NamedTuple):
    """Address of a pod's control port."""

    ip: str
    uid: str


@dataclass(frozen=True)
class SetPodState:
    """Send the desired state to the pod's control port (`PUT /v1/state`); the executor adds token and memory URL."""

    pod_ip: str
    pod_uid: str
    session_uid: str
    epoch: int
    room_name: str
    identity: str
    display_name: str
    memory_agent_id: str
    ttl_seconds: int
    """Lifetime of the room token."""
    cause: str = Cause.START
    """Cause of this epoch, only for the pod's log."""
    memory_read_only: bool = False
    memory_remember: bool = False
    memory_remember_block: str = REMEMBER_BLOCK
    idle_seconds: float = 0
    """Silence after which the session ends; 0 disables the limit. The agent may ask before the end."""
    prewarm: bool = True
    """The pod keeps a process prepared for the next job, because a reset will need one."""
    room_sid: str = ""
    room_metadata: str = ""
    agent_metadata: str = field(default="", repr=False)
    continues: PodAddress | None = None
    """The ending pod whose conversation this one continues."""


@dataclass(frozen=True)
class DeleteSession:
    """Delete the VoiceSession with this UID."""

    uid: str


Action = CreateRoom | DeleteRoom | CreatePod | DeletePod | SetPodState | DeleteSession


@dataclass(frozen=True)
class Event:
    """A Kubernetes event about the session, recorded only after the status was stored."""

    type: str
    reason: str
    message: str
    timestamps: tuple[tuple[str, float], ...] = ()
    """Annotations with times (Unix seconds): the time of the event, if known, and of the steps before it."""


@dataclass(frozen=True)
class Plan:
    """The session's new status and the actions that follow from it."""

    status: Status
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    """Seconds until time alone changes the plan."""
    is_decision: bool = False
    """The status records a decision: it must be stored first, and the next plan has the actions."""
    steady_until: float = -inf
    """Unix seconds until which the same observations give this plan, which changes nothing."""


@dataclass(frozen=True)
class Decision:
    """A new status that is due at `at` (Unix seconds), unless the session changes first."""

    at: float
    status: Status
    trial_seconds: float = 0.0
    """Time for which this process must have watched the session before."""


@dataclass(frozen=True)
class EndOfSession:
    """The end of a session: `reason` for programs, `message` for users."""

    reason: EndReason
    message: str


@dataclass(frozen=True)
class Deadline:
    """The end of the session at `at` (Unix seconds), unless the session changes first."""

    at: float
    end: EndOfSession
    trial_seconds: float = 0.0
    """Time for which this process must have watched the session before.

    After an outage of the operator, everything is tried before it is given up.
    """
