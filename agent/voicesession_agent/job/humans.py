"""Who in a room is a human, seen from inside it."""

from typing import Final, Protocol

from livekit import rtc

ROLE: Final = "voicesession.role"
"""Attribute written by whoever minted the token; it outranks every guess."""
ON_BEHALF: Final = "lk.publish_on_behalf"
HUMAN_KINDS: Final = frozenset(
    {
        rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
        rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
        rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
    }
)


class Somebody(Protocol):
    @property
    def kind(self) -> "rtc.ParticipantKind.ValueType": ...

    @property
    def attributes(self) -> dict[str, str]: ...


def is_human(participant: Somebody) -> bool:
    role = participant.attributes.get(ROLE)
    if role:
        return role == "human"
    return participant.kind in HUMAN_KINDS and ON_BEHALF not in participant.attributes
