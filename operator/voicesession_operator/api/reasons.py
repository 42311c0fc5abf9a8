"""Every condition type, condition reason and end reason, in one place."""

from enum import StrEnum


class ConditionType(StrEnum):
    """What `status.conditions[].type` can be."""

    ROOM_READY = "RoomReady"
    AGENT_JOINED = "AgentJoined"
    AGENT_HEALTHY = "AgentHealthy"
    """Only there once the agent's own supervisor found something wrong with it."""
    MEMORY_READY = "MemoryReady"
    """Only there once memory was in trouble: a session needs none to speak."""
    READY = "Ready"
    FINISHED = "Finished"


class Reason(StrEnum):
    """Condition and event reasons that plan() itself gives; others come with what was observed."""

    ROOM_CREATED = "RoomCreated"
    ROOM_CREATING = "RoomCreating"
    ROOM_RECREATED = "RoomRecreated"
    STARTING = "Starting"
    JOINED = "Joined"
    POD_LOST = "PodLost"
    POD_TROUBLE = "PodTrouble"
    AGENT_TROUBLE = "AgentTrouble"
    AGENT_NOT_FOUND = "AgentNotFound"
    AGENT_REPLACED = "AgentReplaced"
    AGENT_ABSENT = "AgentAbsent"
    AGENT_STUCK = "AgentStuck"
    AGENT_DEAF = "AgentDeaf"
    AGENT_MUTE = "AgentMute"
    AGENT_DISCONNECTED = "AgentDisconnected"
    PROVIDER_FAILING = "ProviderFailing"
    HEALTHY = "Healthy"
    RESETTING = "Resetting"
    RESET_COMPLETE = "ResetComplete"
    RESET_ESCALATED = "ResetEscalated"
    RECYCLED = "Recycled"
    MEMORY_AVAILABLE = "MemoryAvailable"
    MEMORY_UNAVAILABLE = "MemoryUnavailable"
    MEMORY_INVALID = "MemoryInvalid"
    MEMORY_NOT_CONFIGURED = "MemoryNotConfigured"
    READY = "Ready"
    VALID = "Valid"
    FINISHED = "Finished"


class EndReason(StrEnum):
    """What `status.endReason` can be."""

    LAST_HUMAN_LEFT = "LastHumanLeft"
    NOBODY_CAME = "NobodyCame"
    IDLE = "Idle"
    MAX_DURATION = "MaxDuration"
    REQUESTED = "Requested"
    START_DEADLINE = "StartDeadline"
    AGENT_LOST = "AgentLost"


class Action(StrEnum):
    """What `onLastHumanLeft.action` can be."""

    TEARDOWN = "Teardown"
    RESET = "Reset"
    RECYCLE = "Recycle"


class Cause(StrEnum):
    """Why an agent begins anew; the first and the last are not resets."""

    START = "Start"
    LAST_HUMAN_LEFT = "LastHumanLeft"
    AGENT_ABSENT = "AgentAbsent"
    REPLACED = "Replaced"


class ResetOutcome(StrEnum):
    """What `status.lastReset.outcome` can be."""

    RUNNING = "Running"
    COMPLETE = "Complete"
    REPLACED = "Replaced"
    """The pod was lost meanwhile; its replacement began the new conversation."""
    ESCALATED = "Escalated"
    """The pod did not manage it in time and was replaced for that."""


class Phase(StrEnum):
    """`status.phase`: derived from the rest of the status, for people only."""

    PENDING = "Pending"
    STARTING = "Starting"
    READY = "Ready"
    ACTIVE = "Active"
    GRACE = "Grace"
    FINISHED = "Finished"
