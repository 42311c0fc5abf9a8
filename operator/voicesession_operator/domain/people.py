"""Who in a room is a human."""

from typing import Final

from voicesession_operator.api.names import PUBLISHES_FOR_ATTRIBUTE, ROLE_ATTRIBUTE
from voicesession_operator.domain.observed import Kind, Participant, Room

HUMAN_KINDS: Final = frozenset({Kind.STANDARD, Kind.SIP, Kind.CONNECTOR})
HUMAN_ROLE: Final = "human"


def is_human(participant: Participant) -> bool:
    """Whether this participant is a person; the role in its token, which only a minter writes, outranks every guess."""
    role = participant.attributes.get(ROLE_ATTRIBUTE)
    if role:
        return role == HUMAN_ROLE
    serves = participant.hidden or participant.recorder or participant.agent
    speaks_for_another = bool(participant.attributes.get(PUBLISHES_FOR_ATTRIBUTE))
    return participant.kind in HUMAN_KINDS and not serves and not speaks_for_another


def humans(room: Room) -> tuple[Participant, ...]:
    """The people who are in the room: ACTIVE ones only, because LiveKit also lists those who are still connecting."""
    return tuple(p for p in room.participants if p.active and is_human(p))
