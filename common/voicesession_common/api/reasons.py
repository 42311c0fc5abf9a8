"""Every condition type, condition reason and end reason, in one place."""

from enum import StrEnum


class ConditionType(StrEnum):
    """What `status.conditions[].type` can be."""

    ROOM_READY = "RoomReady"
    """The room exists in LiveKit."""
    AGENT_JOINED = "AgentJoined"
    """The agent of this session was seen in the room."""
    AGENT_HEALTHY = "AgentHealthy"
    """Only there once the agent's own supervisor found something wrong with it."""
    MEMORY_READY = "MemoryReady"
    """Only there once memory was in trouble: a session needs none to speak."""
    READY = "Ready"
    """Of a VoiceSession: RoomReady and AgentJoined are True. Of a VoiceAgent: sessions can use it."""
    FINISHED = "Finished"
    """The session is over; its reason is the end reason. Absent until then."""


class Reason(StrEnum):
    """Condition and event reasons that plan() itself gives; others come with what was observed."""

    ROOM_CREATED = "RoomCreated"
    """RoomReady: the room exists."""
    ROOM_CREATING = "RoomCreating"
    """RoomReady is False: the room does not exist yet."""
    ROOM_RECREATED = "RoomRecreated"
    """Warning event: the room was lost and made again under its name."""
    STARTING = "Starting"
    """AgentJoined is False: the pod is starting."""
    JOINED = "Joined"
    """AgentJoined: the agent is in the room."""
    JOB_DIED = "JobDied"
    """AgentJoined is False: the agent's job died, and its pod starts another one."""
    POD_LOST = "PodLost"
    """AgentJoined is False: the pod is gone and is being replaced."""
    POD_NOT_RUNNING = "PodNotRunning"
    """AgentJoined is False: Kubernetes cannot run the pod (image, Secret, node); the message says what it says."""
    AGENT_ERROR = "AgentError"
    """AgentJoined is False: the agent's job cannot do its work; the next one may."""
    AGENT_INVALID = "AgentInvalid"
    """AgentJoined is False: the pod cannot prepare the agent as its VoiceAgent is written; the message says why."""
    AGENT_NOT_FOUND = "AgentNotFound"
    """AgentJoined is False: no VoiceAgent of that name in the namespace."""
    AGENT_REPLACED = "AgentReplaced"
    """Warning event: a pod was lost or given up, and the next one counts as a replacement."""
    AGENT_ABSENT = "AgentAbsent"
    """AgentJoined is False: the agent believes itself in the room, and LiveKit does not list it."""
    AGENT_STUCK = "AgentStuck"
    """AgentHealthy is False: no sign of life comes from the job."""
    AGENT_DEAF = "AgentDeaf"
    """AgentHealthy is False: LiveKit hears the person, and no word of hers is recognized."""
    AGENT_MUTE = "AgentMute"
    """AgentHealthy is False: the agent says that it speaks, and LiveKit hears nothing of it."""
    AGENT_DISCONNECTED = "AgentDisconnected"
    """AgentHealthy is False: the job lost its connection to LiveKit."""
    PROVIDER_FAILING = "ProviderFailing"
    """AgentHealthy is False: turn after turn ends in an error of stt, llm or tts."""
    HEALTHY = "Healthy"
    """AgentHealthy: what was wrong has been put right."""
    RESETTING = "Resetting"
    """AgentJoined is False: a fresh agent is taking the place of the old one; the message says why."""
    RESET_COMPLETE = "ResetComplete"
    """Normal event: the fresh agent is in the room; the message says why, after how long and if in another pod."""
    RESET_ESCALATED = "ResetEscalated"
    """Warning event: the reset took too long and the pod is replaced."""
    RESET_REQUEST_INVALID = "ResetRequestInvalid"
    """Warning event: the annotation that asks for a reset is no RFC 3339 time, and nothing is done."""
    RECYCLED = "Recycled"
    """Normal event: the new pod of a recycle has taken over."""
    MEMORY_AVAILABLE = "MemoryAvailable"
    """MemoryReady: memory works again."""
    MEMORY_UNAVAILABLE = "MemoryUnavailable"
    """MemoryReady, or a VoiceAgent's Ready, is False: Letta cannot be asked."""
    MEMORY_INVALID = "MemoryInvalid"
    """MemoryReady, or a VoiceAgent's Ready, is False: Letta has no such agent, or refuses to make it."""
    MEMORY_NOT_CONFIGURED = "MemoryNotConfigured"
    """A VoiceAgent's Ready is False: it wants a memory, and this installation has no Letta."""
    READY = "Ready"
    """Ready; a Normal event the first time."""
    HUMAN_JOINED = "HumanJoined"
    """Normal event: more humans are in the room than before; the message says how many."""
    HUMAN_LEFT = "HumanLeft"
    """Normal event: fewer humans are in the room than before; the message says how many, and how the last one went."""
    VALID = "Valid"
    """A VoiceAgent's Ready: sessions can use it."""
    FINISHED = "Finished"
    """RoomReady, AgentJoined and Ready are False since the session is over.

    Also an event: Normal for a planned end, Warning for StartDeadline, Invalid, AgentLost and RoomLost.
    """


class EndReason(StrEnum):
    """What `status.endReason` can be."""

    LAST_HUMAN_LEFT = "LastHumanLeft"
    """Everybody left and the grace passed; the action was Teardown."""
    NOBODY_CAME = "NobodyCame"
    """joinSeconds passed without a human."""
    IDLE = "Idle"
    """Nobody spoke for idleSeconds."""
    MAX_DURATION = "MaxDuration"
    """maxDurationSeconds are over."""
    REQUESTED = "Requested"
    """spec.end was set."""
    START_DEADLINE = "StartDeadline"
    """No agent was in the room within startSeconds."""
    INVALID = "Invalid"
    """The same, where waiting longer could not have helped.

    There is no such VoiceAgent, the pod cannot prepare its agent (entry point, provider, model), or Kubernetes calls
    the pod invalid.
    """
    AGENT_LOST = "AgentLost"
    """One more agent pod was lost than maxReplacements allows."""
    ROOM_LOST = "RoomLost"
    """LiveKit lost the room and, though it answers, could not make it again within startSeconds."""


class Action(StrEnum):
    """What `onLastHumanLeft.action` can be."""

    TEARDOWN = "Teardown"
    """The session ends; room and pod are deleted."""
    RESET = "Reset"
    """Room and pod stay, with a fresh agent in a new process."""
    RECYCLE = "Recycle"
    """The same at once, and then a new pod takes over."""


class Cause(StrEnum):
    """Why an agent begins anew; the first and the last are not resets."""

    START = "Start"
    """Told to a pod only: the first conversation."""
    LAST_HUMAN_LEFT = "LastHumanLeft"
    """Everybody left and the grace passed."""
    AGENT_ABSENT = "AgentAbsent"
    """The agent believed itself in the room, and LiveKit did not list it."""
    REQUESTED = "Requested"
    """The annotation voicesession.dev/reset-requested-at asked for it."""
    REPLACED = "Replaced"
    """Told to a pod only: the one before it was lost."""


class ResetOutcome(StrEnum):
    """What `status.lastReset.outcome` can be."""

    RUNNING = "Running"
    """Decided; the fresh agent has not been seen yet."""
    COMPLETE = "Complete"
    """The fresh agent was seen in the room."""
    REPLACED = "Replaced"
    """The pod was lost meanwhile; its replacement began the new conversation."""
    ESCALATED = "Escalated"
    """The pod did not manage it in time and was replaced for that."""


class Phase(StrEnum):
    """`status.phase`: derived from the rest of the status, for people only."""

    PENDING = "Pending"
    """No pod yet."""
    STARTING = "Starting"
    """There is a pod; the agent is not in the room (yet, or for the moment)."""
    READY = "Ready"
    """The agent waits for people."""
    ACTIVE = "Active"
    """People are there."""
    GRACE = "Grace"
    """The last one has left, and the grace runs."""
    FINISHED = "Finished"
    """It is over."""
