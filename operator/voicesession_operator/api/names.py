"""Every name the project puts into a cluster, in one place."""

from typing import Final

GROUP: Final = "voicesession.dev"
VERSION: Final = "v1alpha1"
SESSIONS: Final = "voicesessions"
AGENTS: Final = "voiceagents"
SESSION_KIND: Final = "VoiceSession"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "voicesession-operator"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
AGENT_POD_COMPONENT: Final = "agent-pod"
SESSION_UID_LABEL: Final = "voicesession.dev/session-uid"
AGENT_LABEL: Final = "voicesession.dev/agent"
SESSION_ANNOTATION: Final = "voicesession.dev/session"
ORDINAL_ANNOTATION: Final = "voicesession.dev/ordinal"
LEADER_LABEL: Final = "voicesession.dev/leader"

USER_SCOPE: Final = "User"
"""`memory.letta.scope` of a VoiceAgent whose sessions' users are remembered apart from one another."""

ROLE_ATTRIBUTE: Final = "voicesession.role"
"""Participant attribute, written by whoever mints the token, that outranks every guess about who is a human."""

CONTROL_PORT: Final = 8080
AGENT_CONTAINER: Final = "agent"

PUBLISHES_FOR_ATTRIBUTE: Final = "lk.publish_on_behalf"
"""LiveKit's own participant attribute of those who publish for somebody else, such as avatar workers."""
