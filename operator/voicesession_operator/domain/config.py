"""The operator's settings that decisions depend on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """Settings of one installation, applied to every session; contains no secrets."""

    agent_image: str
    """Image of agent pods if the VoiceAgent names none."""
    pull_policy: str
    """`imagePullPolicy` of agent pods."""
    control_public_key: str
    """Base64 of the 32 raw bytes of the Ed25519 public key; agent pods verify the operator's requests with it."""
    livekit_url: str
    """LiveKit's URL for agent pods (`ws://…`)."""
    public_url: str
    """LiveKit's URL for humans, copied to `status.room.url`."""
    installation_id: str
    """Mark of this installation's rooms, so that the sweep of orphan rooms leaves all other rooms alone."""
    otlp_endpoint: str = ""
    """Endpoint for the spans of agent pods; empty disables tracing."""
    poll_seconds: float = 10.0
    """Longest time between two observations of a live session, without jitter."""
