"""Every name the project puts into a cluster, in one place."""

from typing import Final

AGENT_PREFIX: Final = "agent-"
"""How every agent's identity begins; a human under that identity would put the agent out of the room."""


GROUP: Final = "voicesession.dev"
VERSION: Final = "v1alpha1"
SESSIONS: Final = "voicesessions"
AGENTS: Final = "voiceagents"
SESSION_KIND: Final = "VoiceSession"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
"""Label of agent pods, always `voicesession-operator`."""
MANAGED_BY: Final = "voicesession-operator"
POD_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""The watch and the list must see the same pods."""
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
"""Label of agent pods, always `agent-pod`; the chart gives it to its own pods too."""
AGENT_POD_COMPONENT: Final = "agent-pod"
SESSION_UID_LABEL: Final = "voicesession.dev/session-uid"
"""Label of an agent pod: the UID of its VoiceSession. The owner reference decides; this is for selectors."""
AGENT_LABEL: Final = "voicesession.dev/agent"
"""Label of an agent pod: the name of its VoiceAgent, or the start of its SHA-256 where it is longer than a label."""
SESSION_ANNOTATION: Final = "voicesession.dev/session"
"""Annotation of an agent pod: `namespace/name` of its VoiceSession."""
ORDINAL_ANNOTATION: Final = "voicesession.dev/ordinal"
"""Annotation of an agent pod: 0 for the first of its session, one more for each that follows."""
CALLER_LABEL: Final = "voicesession.dev/caller"
"""Label of a VoiceSession that the gateway made: the start of the SHA-256 of who asked for it."""
USER_LABEL: Final = "voicesession.dev/user"
"""Label of a VoiceSession that the gateway made: the start of the SHA-256 of its caller and `spec.user`."""
CONVERSATION_LABEL: Final = "voicesession.dev/conversation"
"""Label of a VoiceSession that the gateway made: the start of the SHA-256 of what calls for it again lead here by."""
RESET_REQUESTED_AT_ANNOTATION: Final = "voicesession.dev/reset-requested-at"
"""Annotation that anybody may write on a VoiceSession: an RFC 3339 time. Each value begins one reset, whatever the
session's `onLastHumanLeft.action` is and whoever is in the room."""
TRACEPARENT_ANNOTATION: Final = "voicesession.dev/traceparent"
"""Annotation of a VoiceSession: the span that it was made in, as W3C's `traceparent`, read while tracing is on.
Without it a session has a trace of its own."""
AT_ANNOTATION: Final = "voicesession.dev/at"
"""Annotation of every event: when it happened, to the millisecond; its own timestamps have whole seconds."""
POD_CREATED_AT_ANNOTATION: Final = "voicesession.dev/pod-created-at"
"""Annotation of the event Ready: when the agent's pod was created, in whole seconds."""
BOUND_AT_ANNOTATION: Final = "voicesession.dev/bound-at"
"""Annotation of the event Ready: when the agent's pod was told its session, by the pod's own clock."""
JOINED_AT_ANNOTATION: Final = "voicesession.dev/joined-at"
"""Annotation of the event Ready: when the agent came into the room, by the pod's own clock. LiveKit lists it later."""
LEADER_LABEL: Final = "voicesession.dev/leader"
"""Label that the leading operator puts on its own pod; the webhook Service selects it."""

USER_SCOPE: Final = "User"
"""`memory.letta.scope` of a VoiceAgent whose sessions' users are remembered apart from one another."""

ROLE_ATTRIBUTE: Final = "voicesession.role"
"""Participant attribute, written by whoever mints the token, that outranks every guess about who is a human."""
HUMAN_ROLE: Final = "human"
SESSION_ATTRIBUTE: Final = "voicesession.session"
"""Participant attribute of people whose token the gateway minted: the name of their VoiceSession."""
RESERVED_ATTRIBUTES: Final = ("voicesession.", "lk.")
"""How attributes begin that decide who counts as a human, and therefore are nobody's to choose."""

CONTROL_PORT: Final = 8080
METRICS_PORT: Final = 9001
"""Of agent pods: apart from the control port, so that a network policy can let a scraper reach nothing else."""
AGENT_CONTAINER: Final = "agent"

PUBLISHES_FOR_ATTRIBUTE: Final = "lk.publish_on_behalf"
"""LiveKit's own participant attribute of those who publish for somebody else, such as avatar workers."""
