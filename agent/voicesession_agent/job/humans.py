"""The rule that separates humans from other participants, applied inside the room."""

from typing import Final, Protocol

from livekit import rtc

ROLE: Final = "voicesession.role"
"""Attribute set by the issuer of the token; it takes precedence over the participant's kind. It is ignored if the
participant may have written it itself."""
ON_BEHALF: Final = "lk.publish_on_behalf"
HUMAN_KINDS: Final = frozenset(
    {
        rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
        rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
        rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
    }
)
SERVICE_KINDS: Final = frozenset(
    {
        rtc.ParticipantKind.PARTICIPANT_KIND_AGENT,
        rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
        rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
        rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS,
    }
)
"""Kinds whose programs belong to the issuer of their token. LiveKit's services always get `canUpdateOwnMetadata`."""

CALL_STATUS: Final = "sip.callStatus"
UNANSWERED_CALL: Final = frozenset({"dialing", "ringing"})
ENDED_CALL: Final = "hangup"
AUDIBLE_CALL: Final = "active"
"""Values of CALL_STATUS, set by LiveKit's SIP service: before the callee answers, after the end, and in a call. Between
answer and `active`, the service may send digits (`automation`). A rejected call ends without an answer."""


class Permissions(Protocol):
    """The permissions of a LiveKit participant that `is_human` reads."""

    @property
    def can_update_metadata(self) -> bool: ...


class ParticipantInfo(Protocol):
    """The facts about a LiveKit participant that `is_human` reads."""

    @property
    def kind(self) -> "rtc.ParticipantKind.ValueType": ...

    @property
    def attributes(self) -> dict[str, str]: ...

    @property
    def permissions(self) -> Permissions: ...


def is_human(participant: ParticipantInfo) -> bool:
    """Return whether the participant counts as a human, by the same rule as the operator.

    A client that may change its own attributes could have written them itself, so they do not count.
    """
    attributes = participant.attributes if _are_attributes_from_issuer(participant) else {}
    role = attributes.get(ROLE)
    if role:
        return role == "human"
    return participant.kind in HUMAN_KINDS and not attributes.get(ON_BEHALF)


def is_call_unanswered(participant: ParticipantInfo) -> bool:
    """Return True for a SIP call that nobody has answered yet."""
    return _call_status(participant) in UNANSWERED_CALL


def is_call_ended(participant: ParticipantInfo) -> bool:
    """Return True for a SIP call that has ended, answered or not; the participant leaves in a moment."""
    return _call_status(participant) == ENDED_CALL


def is_reachable(participant: ParticipantInfo) -> bool:
    """Return whether speech reaches this participant: False for a SIP call that is not active."""
    return _call_status(participant) in {"", AUDIBLE_CALL}


def _call_status(participant: ParticipantInfo) -> str:
    """Return the status of a SIP call, or an empty string for any other participant."""
    is_sip = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
    return participant.attributes.get(CALL_STATUS, "") if is_sip else ""


def _are_attributes_from_issuer(participant: ParticipantInfo) -> bool:
    """Return False if a client may have written the attributes."""
    return participant.kind in SERVICE_KINDS or not participant.permissions.can_update_metadata
