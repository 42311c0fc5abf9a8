"""Label values that only metrics use; all other label values are members of the API's or a client's enums."""

from enum import StrEnum


class StartStage(StrEnum):
    """Stages from a session's creation to Ready, in order; each is measured from the end of the previous one."""

    FOUND = "found"
    """The operator's first reconcile: a lower bound, since creation times have whole seconds."""
    POD_CREATED = "pod_created"
    PROCESS_STARTED = "process_started"
    """Scheduling, image pull and container start: the cluster's share."""
    MODELS_LOADED = "models_loaded"
    BOUND = "bound"
    """The pod received its desired state; 0 when that happened while models were loading."""
    JOINED = "joined"
    SEEN = "seen"
    """LiveKit's participant list includes the agent, and the session is Ready."""


class ReplacementReason(StrEnum):
    """Reason for the replacement of an agent pod."""

    POD_LOST = "PodLost"
    """The pod ended or was deleted."""
    RESET_ESCALATED = "ResetEscalated"
    AGENT_ABSENT = "AgentAbsent"
    """The agent reported that it was in the room, was not, and a reset did not help."""
    AGENT_AWAY = "AgentAway"
    """The agent left the room and did not return, or the agent of a replacement did not join within startSeconds."""
    RECYCLE_FAILED = "RecycleFailed"
    """The pod created by a recycle ended, or did not join the room in time."""


class ClaimResult(StrEnum):
    """Result of the search for a warm pod, for a session whose VoiceAgent has a VoicePool."""

    HIT = "hit"
    MISS = "miss"
    """No pod was warm; the session starts cold."""


class PoolPodState(StrEnum):
    """State of an agent pod that a VoicePool created."""

    WARM = "warm"
    WARMING = "warming"
    STALE = "stale"
    CLAIMED = "claimed"


class LastHumanOutcome(StrEnum):
    """Result of the last human's leaving."""

    RESET = "reset"
    TORN_DOWN = "torn_down"


class LostWebhookEvent(StrEnum):
    """Webhook event that was expected and did not arrive."""

    JOINED = "participant_joined"
    LEFT = "participant_left"
