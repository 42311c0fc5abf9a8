"""Every condition type, condition reason and end reason, in one place."""

from enum import StrEnum


class ConditionType(StrEnum):
    """Values of `status.conditions[].type`."""

    ROOM_READY = "RoomReady"
    """The room exists in LiveKit."""
    AGENT_JOINED = "AgentJoined"
    """The agent of this session is in the room."""
    AGENT_HEALTHY = "AgentHealthy"
    """Present only after the agent's supervisor has found a health problem."""
    MEMORY_READY = "MemoryReady"
    """Present only after a memory problem: a session can talk without memory."""
    READY = "Ready"
    """Of a VoiceSession: RoomReady and AgentJoined are True. Of a VoiceAgent: sessions can use it. Of a VoicePool: at
    least `warm.min` pods are warm."""
    FINISHED = "Finished"
    """The session is finished; the reason is the end reason. Absent before the end."""
    PROGRESSING = "Progressing"
    """Of a VoicePool: True while it creates or replaces pods, and when all are as desired; False if it cannot."""
    SCALING_LIMITED = "ScalingLimited"
    """Of a VoicePool: its desired number of pods is limited by `warm`, or by the room in the cluster."""


class Reason(StrEnum):
    """Reasons of conditions and events that plan() sets itself; other reasons come from external systems."""

    ROOM_CREATED = "RoomCreated"
    """RoomReady: the room exists."""
    ROOM_CREATING = "RoomCreating"
    """RoomReady is False: the room does not exist yet."""
    ROOM_UNREADABLE = "RoomUnreadable"
    """RoomReady is False: LiveKit lists the room, but not its participants; the room is created again."""
    ROOM_RECREATED = "RoomRecreated"
    """Warning event: the room was lost and created again under its name."""
    STARTING = "Starting"
    """AgentJoined is False: the pod is starting."""
    JOINED = "Joined"
    """AgentJoined: the agent is in the room."""
    HANDING_OVER = "HandingOver"
    """AgentJoined: the agent is in the room, but its pod is ending, and another pod takes over the conversation."""
    JOB_DIED = "JobDied"
    """AgentJoined is False: the agent's job died, and its pod starts another one."""
    POD_LOST = "PodLost"
    """AgentJoined is False: the pod is gone and is being replaced."""
    POD_NOT_RUNNING = "PodNotRunning"
    """AgentJoined is False: Kubernetes cannot run the pod (image, Secret, node); the message is from Kubernetes."""
    AGENT_ERROR = "AgentError"
    """AgentJoined is False: the agent's job failed; the next job may work."""
    AGENT_INVALID = "AgentInvalid"
    """AgentJoined is False: the pod cannot load the agent defined by its VoiceAgent; the message has the cause."""
    AGENT_NOT_FOUND = "AgentNotFound"
    """AgentJoined is False: no VoiceAgent of that name in the namespace."""
    AGENT_REPLACED = "AgentReplaced"
    """Warning event: a pod was lost or given up, and the next one counts as a replacement."""
    AGENT_ABSENT = "AgentAbsent"
    """AgentJoined is False: the agent reports that it is in the room, but LiveKit does not list it."""
    AGENT_STUCK = "AgentStuck"
    """AgentHealthy is False: the job sends no heartbeat."""
    AGENT_DEAF = "AgentDeaf"
    """AgentHealthy is False: voice detection hears a human speak, but no words are recognized."""
    AGENT_MUTE = "AgentMute"
    """AgentHealthy is False: its track is muted, or sound that it handed over is not played."""
    AGENT_DISCONNECTED = "AgentDisconnected"
    """AgentHealthy is False: the job has lost its connection to the room, and LiveKit would let another job join."""
    PROVIDER_FAILING = "ProviderFailing"
    """AgentHealthy is False: one turn after another fails with an stt, llm or tts error."""
    HEALTHY = "Healthy"
    """AgentHealthy: the health problem is solved."""
    RESETTING = "Resetting"
    """AgentJoined is False: a new agent is replacing the old one; the message has the cause."""
    RESET_COMPLETE = "ResetComplete"
    """Normal event: the new agent is in the room; the message has cause, duration, and whether its pod is new."""
    RESET_ESCALATED = "ResetEscalated"
    """Warning event: the reset took too long and the pod is replaced."""
    RESET_REQUEST_INVALID = "ResetRequestInvalid"
    """Warning event: the annotation that requests a reset is not an RFC 3339 time and is ignored."""
    STATUS_REFUSED = "StatusRefused"
    """Warning event: the API server refused the status, so that only a part of it was stored."""
    RECYCLED = "Recycled"
    """Normal event: the new pod of a recycle has taken over."""
    MEMORY_AVAILABLE = "MemoryAvailable"
    """MemoryReady: memory works again."""
    MEMORY_UNAVAILABLE = "MemoryUnavailable"
    """MemoryReady, or a VoiceAgent's Ready, is False: Letta does not answer."""
    MEMORY_INVALID = "MemoryInvalid"
    """MemoryReady, or a VoiceAgent's Ready, is False: Letta has no such agent or refuses to create it, or the agent
    does not belong to this namespace."""
    MEMORY_NOT_CONFIGURED = "MemoryNotConfigured"
    """A VoiceAgent's Ready is False: it requires memory, but this installation has no Letta."""
    MEMORY_FORGOTTEN = "MemoryForgotten"
    """Normal event of a VoiceAgent: the memory of a user was deleted, because `kubectl voice forget` requested it."""
    MEMORY_EXPIRED = "MemoryExpired"
    """Normal event of a VoiceAgent: the memory of a user was deleted, because it was not used for `retentionDays`."""
    READY = "Ready"
    """Ready: the agent is in the room."""
    HUMAN_JOINED = "HumanJoined"
    """Normal event: the number of humans in the room has increased; the message has the number. The first human has no
    event, but `status.firstHumanAt`."""
    HUMAN_LEFT = "HumanLeft"
    """Normal event: the number of humans in the room has decreased; the message has the number and the leave reason of
    the last human. The last human of a session with the action Teardown has no event, but `status.lastHumanLeftAt`."""
    VALID = "Valid"
    """A VoiceAgent's Ready: sessions can use it."""
    FINISHED = "Finished"
    """RoomReady, AgentJoined and Ready are False because the session is finished.

    Also an event: Normal for a planned end, Warning for StartDeadline, Invalid, AgentLost and RoomLost.
    """


class PoolReason(StrEnum):
    """Reasons of a VoicePool's conditions and events; the API server's reasons for a refused pod come beside them."""

    WARM = "Warm"
    """Ready: at least `warm.min` pods are warm."""
    WARMING = "Warming"
    """Ready is False: pods are starting. Progressing: pods are starting, or leave."""
    COMPLETE = "Complete"
    """Progressing: all pods are as desired."""
    ROLLING_OUT = "RollingOut"
    """Progressing: pods of an earlier template are being replaced."""
    AGENT_NOT_FOUND = "AgentNotFound"
    """Ready and Progressing are False: no VoiceAgent of that name in the namespace."""
    POD_NOT_WARM = "PodNotWarm"
    """Progressing is False: a pod does not get warm; the message has the cause, from Kubernetes or from the agent."""
    DESIRED_WITHIN_RANGE = "DesiredWithinRange"
    """ScalingLimited is False: the pool has as many pods as its arrivals need."""
    TOO_FEW_REPLICAS = "TooFewReplicas"
    """ScalingLimited: `warm.min` is more than the arrivals need."""
    TOO_MANY_REPLICAS = "TooManyReplicas"
    """ScalingLimited: `warm.max` is less than the arrivals need."""
    UNSCHEDULABLE = "Unschedulable"
    """ScalingLimited: no node has room for another pod; the pool creates none until there is."""
    GIVES_ROOM = "GivesRoom"
    """ScalingLimited: sessions of the namespace wait for room on a node; the pool deletes pods and creates none."""


class EndReason(StrEnum):
    """Values of `status.endReason`."""

    LAST_HUMAN_LEFT = "LastHumanLeft"
    """All humans left and the grace period passed; the action was Teardown."""
    NOBODY_CAME = "NobodyCame"
    """No human joined within joinSeconds."""
    IDLE = "Idle"
    """No human spoke for idleSeconds."""
    MAX_DURATION = "MaxDuration"
    """maxDurationSeconds have passed."""
    REQUESTED = "Requested"
    """spec.end was set."""
    AGENT_ENDED = "AgentEnded"
    """The agent ended the session itself: it shut its job or its AgentSession down, or deleted its room."""
    START_DEADLINE = "StartDeadline"
    """No agent was in the room within startSeconds."""
    INVALID = "Invalid"
    """Like StartDeadline, but with a cause that waiting cannot remove.

    The VoiceAgent does not exist, the pod cannot load its agent (entry point, provider, model), or Kubernetes calls
    the pod invalid.
    """
    AGENT_LOST = "AgentLost"
    """One more agent pod was lost within an hour than maxReplacements allows, or no pod could be created."""
    ROOM_LOST = "RoomLost"
    """LiveKit lost the room and, although it answers, could not create it again within startSeconds."""


class Action(StrEnum):
    """Values of `onLastHumanLeft.action`."""

    TEARDOWN = "Teardown"
    """The session ends; room and pod are deleted."""
    RESET = "Reset"
    """Room and pod stay, with a new agent in a new process."""
    RECYCLE = "Recycle"
    """An immediate reset, and then a new pod takes over."""


class Cause(StrEnum):
    """Causes of a new conversation. Start and Replaced are not resets."""

    START = "Start"
    """The first conversation; used only in the desired state of a pod."""
    LAST_HUMAN_LEFT = "LastHumanLeft"
    """All humans left and the grace period passed."""
    AGENT_ABSENT = "AgentAbsent"
    """The agent reported that it was in the room, but LiveKit did not list it."""
    REQUESTED = "Requested"
    """The annotation voicesession.dev/reset-requested-at requested it."""
    REPLACED = "Replaced"
    """The previous pod was lost; used only in the desired state of a pod."""


class ResetOutcome(StrEnum):
    """Values of `status.lastReset.outcome`."""

    RUNNING = "Running"
    """Started; the new agent is not in the room yet."""
    COMPLETE = "Complete"
    """The new agent joined the room."""
    REPLACED = "Replaced"
    """The pod was lost during the reset; its replacement started the new conversation."""
    ESCALATED = "Escalated"
    """The pod did not complete the reset in time and was replaced."""


class SessionPhase(StrEnum):
    """Values of `status.phase`: derived from the rest of the status, only for display."""

    PENDING = "Pending"
    """No pod yet."""
    STARTING = "Starting"
    """There is a pod, but its agent is not in the room, or not at the moment."""
    READY = "Ready"
    """The agent waits for humans."""
    ACTIVE = "Active"
    """Humans are in the room."""
    GRACE = "Grace"
    """The last human has left, and the grace period runs."""
    FINISHED = "Finished"
    """The session is finished."""
