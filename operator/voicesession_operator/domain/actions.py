"""What plan() may ask for. Every action is idempotent: carrying it out twice changes nothing."""

from dataclasses import dataclass

from voicesession_common import JsonObject
from voicesession_common.api.reasons import Cause, EndReason
from voicesession_common.api.voicesession import Status


@dataclass(frozen=True)
class CreateRoom:
    name: str
    metadata: str
    max_participants: int


@dataclass(frozen=True)
class DeleteRoom:
    name: str


@dataclass(frozen=True)
class CreatePod:
    manifest: JsonObject


@dataclass(frozen=True)
class DeletePod:
    name: str
    uid: str
    grace_seconds: int


@dataclass(frozen=True)
class SetPodState:
    """Send the wanted state to the pod's control port (`PUT /v1/state`); the executor adds token and memory address."""

    pod_ip: str
    pod_uid: str
    session_uid: str
    epoch: int
    room_name: str
    identity: str
    display_name: str
    memory_agent_id: str
    ttl_seconds: int
    """How long the room token must let the agent join."""
    cause: str = Cause.START
    """Why this epoch exists; for the pod's log only."""
    memory_read_only: bool = False
    idle_seconds: float = 0
    """After how much silence the session ends, 0: never. The agent may ask before."""


@dataclass(frozen=True)
class DeleteSession:
    uid: str


Action = CreateRoom | DeleteRoom | CreatePod | DeletePod | SetPodState | DeleteSession


@dataclass(frozen=True)
class Event:
    """One Kubernetes event on the session, recorded only after the status write succeeded."""

    type: str
    reason: str
    message: str
    moments: tuple[tuple[str, float], ...] = ()
    """Annotations of it that are times (Unix seconds): when it happened, where that is known, and the steps to it."""


@dataclass(frozen=True)
class Plan:
    """`status` is what the session's must become; `requeue_after` is seconds until time alone changes the plan."""

    status: Status
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    is_decision: bool = False
    """The status is a decision that is stored before it is acted on; the actions follow from it once it is stored."""


@dataclass(frozen=True)
class Decision:
    """`status` is due at `at` (Unix seconds), unless something happens before."""

    at: float
    status: Status


@dataclass(frozen=True)
class EndOfSession:
    """The end of a session: `reason` for machines, `message` for people."""

    reason: EndReason
    message: str


@dataclass(frozen=True)
class Deadline:
    """A verdict that comes true at a time (Unix seconds), unless something happens before."""

    at: float
    end: EndOfSession
