"""Label values that only metrics have; all others are members of what the API or an adapter names anyway."""

from enum import StrEnum


class StartStage(StrEnum):
    """The steps from a session's creation to Ready, in their order; each is measured from the one before."""

    FOUND = "found"
    """The operator's first look at it: at least so long after its creation, which has whole seconds."""
    POD_CREATED = "pod_created"
    PROCESS_STARTED = "process_started"
    """Scheduling, image and container: the cluster's own share."""
    MODELS_LOADED = "models_loaded"
    BOUND = "bound"
    """The pod was told its room; 0 when that happened while it loaded."""
    JOINED = "joined"
    SEEN = "seen"
    """LiveKit's list shows the agent, and the session is Ready."""


class ReplacementReason(StrEnum):
    """Why an agent's pod got a successor."""

    POD_LOST = "PodLost"
    """It ended, or somebody deleted it."""
    RESET_ESCALATED = "ResetEscalated"
    AGENT_ABSENT = "AgentAbsent"
    """Its agent believed itself in the room, was not, and a reset did not help."""
    AGENT_AWAY = "AgentAway"
    """Its agent was out of the room and did not come back."""
    RECYCLE_FAILED = "RecycleFailed"
    """The pod that a recycle brought ended, or was not in the room in time."""


class Until(StrEnum):
    """What follows when the last human has left."""

    RESET = "reset"
    TORN_DOWN = "torn_down"


class LostEvent(StrEnum):
    """What a webhook should have told."""

    JOINED = "participant_joined"
    LEFT = "participant_left"
