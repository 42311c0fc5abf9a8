"""The operator's own settings as far as decisions depend on them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """What one installation gives to every session; holds nothing secret."""

    agent_image: str
    """Image of agent pods whose VoiceAgent names none."""
    pull_policy: str
    """`imagePullPolicy` of agent pods."""
    control_public_key: str
    """Base64 of the 32 raw bytes of the Ed25519 key that agent pods check the operator's requests with."""
    livekit_url: str
    """LiveKit as agent pods reach it (`ws://…`)."""
    public_url: str
    """LiveKit as people reach it; goes to `status.room.url`."""
    installation_id: str
    """Marks the rooms of this installation, so that an orphan sweep touches no others."""
    otlp_endpoint: str = ""
    """Where agent pods send their spans; empty: nowhere."""
    poll_seconds: float = 10.0
    """Longest time a live session goes unobserved, without jitter."""
