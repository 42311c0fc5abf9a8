"""The token that lets one human into one room, and nothing else."""

from datetime import timedelta
from typing import Final

from livekit import api

ROLE_ATTRIBUTE: Final = "voicesession.role"


def human_token(key: str, secret: str, room: str, identity: str, name: str, ttl_seconds: float = 3600) -> str:
    """A LiveKit JWT: join and speak in `room` only; its role attribute says human, whatever LiveKit would guess."""
    return (
        api.AccessToken(key, secret)
        .with_identity(identity)
        .with_name(name)
        .with_kind("standard")
        .with_attributes({ROLE_ATTRIBUTE: "human"})
        .with_ttl(timedelta(seconds=ttl_seconds))
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .to_jwt()
    )
