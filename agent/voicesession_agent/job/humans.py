"""The rule that separates humans from other participants, applied inside the room."""

from typing import Final, Protocol

from livekit import rtc

ROLE: Final = "voicesession.role"
"""Attribute set by the issuer of the token; it takes precedence over the participant's kind."""
ON_BEHALF: Final = "lk.publish_on_behalf"
HUMAN_KINDS: Final = frozenset(
    {
        rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
        rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
        rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
    }
)


class ParticipantInfo(Protocol):
    """The attributes of a LiveKit participant that `is_human` reads."""

    @property
    def kind(self) -> "rtc.ParticipantKind.ValueType": ...

    @property
    def attributes(self) -> dict[str, str]: ...


def is_human(participant: ParticipantInfo) -> bool:
    """Return whether the participant counts as a human."""
    role = participant.attributes.get(ROLE)
    if role:
        return role == "human"
    return participant.kind in HUMAN_KINDS and ON_BEHALF not in participant.attributes
