"""Names that the project uses in a cluster and in LiveKit rooms."""

from typing import Final

AGENT_PREFIX: Final = "agent-"
"""Prefix of every agent's identity. A human with the same identity would disconnect the agent from the room."""


GROUP: Final = "voicesession.dev"
VERSION: Final = "v1alpha1"
SESSIONS: Final = "voicesessions"
AGENTS: Final = "voiceagents"
POOLS: Final = "voicepools"
SESSION_KIND: Final = "VoiceSession"
POOL_KIND: Final = "VoicePool"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
"""Label of agent pods, always `voicesession-operator`."""
MANAGED_BY: Final = "voicesession-operator"
POD_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
"""Selector shared by the watch and the list, so that both see the same pods."""
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
"""Label of agent pods, always `agent-pod`; the chart sets it on its own pods too."""
AGENT_POD_COMPONENT: Final = "agent-pod"
SESSION_UID_LABEL: Final = "voicesession.dev/session-uid"
"""Label of an agent pod: the UID of its VoiceSession. For selectors only; ownership is decided by owner references."""
AGENT_LABEL: Final = "voicesession.dev/agent"
"""Label of an agent pod: the name of its VoiceAgent, or the start of the name's SHA-256 if it is too long."""
SESSION_ANNOTATION: Final = "voicesession.dev/session"
"""Annotation of an agent pod: `namespace/name` of its VoiceSession."""
ORDINAL_ANNOTATION: Final = "voicesession.dev/ordinal"
"""Annotation of an agent pod: 0 for the first pod of its session, increased by one for each later pod."""
POOL_LABEL: Final = "voicesession.dev/pool"
"""Label of an agent pod that a VoicePool created, also after a session has claimed it: the name of the pool."""
TEMPLATE_HASH_LABEL: Final = "voicesession.dev/template-hash"
"""Label of an agent pod: the start of the SHA-256 of the part that VoiceAgent and settings decide. A session claims
only a warm pod with the hash of the pod that it would create itself."""
CLAIMED_AT_ANNOTATION: Final = "voicesession.dev/claimed-at"
"""Annotation of an agent pod that a session has claimed from a VoicePool: the RFC 3339 time, by the operator's clock.
It takes the place of the pod's creation time, which is earlier than the session."""
CALLER_LABEL: Final = "voicesession.dev/caller"
"""Label of a VoiceSession created by the gateway: the start of the SHA-256 of the caller."""
USER_LABEL: Final = "voicesession.dev/user"
"""Label of a VoiceSession created by the gateway: the start of the SHA-256 of its caller and `spec.user`."""
CONVERSATION_LABEL: Final = "voicesession.dev/conversation"
"""Label of a VoiceSession created by the gateway: the start of the SHA-256 of the conversation key. Requests with the
same key get this session."""
RESET_REQUESTED_AT_ANNOTATION: Final = "voicesession.dev/reset-requested-at"
"""Annotation of a VoiceSession, set by any client with write access: an RFC 3339 time. Each new value starts one
reset, regardless of `onLastHumanLeft.action` and of the humans in the room."""
FORGET_USER_ANNOTATION: Final = "voicesession.dev/forget-user-"
"""Prefix of annotations of a VoiceAgent, each set by `kubectl voice forget` with the id of a request as its end and a
`spec.user` as its value. The operator deletes the memory of that user, answers in `status.forgotten` and removes the
annotation."""
HUMAN_EXPECTED_AT_ANNOTATION: Final = "voicesession.dev/human-expected-at"
"""Annotation of a VoiceSession without humans: the RFC 3339 time at which the gateway issued a token for it. The
session waits 15 s from then for that human, if a grace or `joinSeconds` would end before."""
TRACEPARENT_ANNOTATION: Final = "voicesession.dev/traceparent"
"""Annotation of a VoiceSession: the span that created it, as a W3C `traceparent`; read while tracing is on. A session
without it gets its own trace."""
AT_ANNOTATION: Final = "voicesession.dev/at"
"""Annotation of every event: its time in milliseconds; the timestamps of an event have whole seconds."""
LEADER_LABEL: Final = "voicesession.dev/leader"
"""Label that the leading operator sets on its own pod; the webhook Service selects it."""

USER_SCOPE: Final = "User"
"""Value of `memory.letta.scope` of a VoiceAgent that keeps a separate memory for each `spec.user`; the built-in one."""
USER_CHARACTERS: Final = 253
"""Longest `spec.user`."""

ROLE_ATTRIBUTE: Final = "voicesession.role"
"""Participant attribute set in the token. It overrides the rules that classify a participant as human or not. It is
ignored if the token lets the participant change its own attributes (`canUpdateOwnMetadata`), except for agents and
participants of kind SIP, CONNECTOR or INGRESS."""
HUMAN_ROLE: Final = "human"
EPOCH_ATTRIBUTE: Final = "voicesession.epoch"
"""Participant attribute of the agent, from its token: the epoch for which the operator issued the token."""
SESSION_ATTRIBUTE: Final = "voicesession.session"
"""Participant attribute of humans with a token from the gateway: the name of their VoiceSession."""
RESERVED_ATTRIBUTES: Final = ("voicesession.", "lk.")
"""Prefixes of participant attributes that callers must not set, because they classify participants."""

CONTROL_PORT: Final = 8080
METRICS_PORT: Final = 9001
"""Metrics port of agent pods, separate from the control port so that a network policy can limit a scraper to it."""
AGENT_CONTAINER: Final = "agent"

SIP_CALL_STATUS_ATTRIBUTE: Final = "sip.callStatus"
"""LiveKit's participant attribute with the progress of a SIP call: dialing, ringing, active, …"""
PUBLISHES_FOR_ATTRIBUTE: Final = "lk.publish_on_behalf"
"""LiveKit's participant attribute of participants that publish for another one, such as avatar workers."""
