"""The rule that separates humans from other participants, applied inside the room, and a session's link to a human."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from livekit import rtc
from livekit.agents import AgentSession

from voicesession_agent.livekit_internals import keep_sessions_open

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
"""Kinds of programs that belong to the issuer of their token. LiveKit's services always get `canUpdateOwnMetadata`."""

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


def is_present(participant: ParticipantInfo) -> bool:
    """Return whether the participant is a human to talk with, and no phone that rings or has hung up."""
    return is_human(participant) and not is_call_unanswered(participant) and not is_call_ended(participant)


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


SPEAKER_SECONDS: Final = 1.0
"""A speaking person's level changes more often: LiveKit compares it every 0.4 s, in steps of an eighth."""


class RecentSpeakers:
    """The participants with a recent sound, from LiveKit's `active_speakers_changed`.

    Such an event lists only the speakers with a changed level (livekit-server 1.13.5, pkg/rtc/room.go), and no
    silent one. A participant counts until SPEAKER_SECONDS after the last change.
    """

    def __init__(self) -> None:
        self._changed: dict[str, float] = {}

    def changed(self, identities: Iterable[str], now: float) -> None:
        """Take one event."""
        self._changed = {i: at for i, at in self._changed.items() if now - at < SPEAKER_SECONDS}
        self._changed.update(dict.fromkeys(identities, now))

    def forget(self, identity: str) -> None:
        """Drop a participant after their leave."""
        self._changed.pop(identity, None)

    def recent(self, now: float) -> list[str]:
        """Return the identities that count, the first to speak first."""
        return [identity for identity, at in self._changed.items() if now - at < SPEAKER_SECONDS]


class SessionLink:
    """Keeps the session of a user's entry point with the humans of its room.

    livekit-agents links a session to one participant. By default it closes the session when this participant leaves;
    else it waits for the same identity. Here the session stays open, with its conversation, and the next human is
    linked. A session that the entry point itself unlinked, or that never had a participant, is left alone.
    """

    def __init__(self, room: rtc.Room, find_session: Callable[[], "AgentSession[Any] | None"]) -> None:
        """Watch the room. Create it before the entry point starts its session, so that it sees each leave first."""
        self._room = room
        self._find_session = find_session
        self._is_left = False
        keep_sessions_open(room)
        room.on("participant_connected", self._on_change)
        room.on("participant_attributes_changed", self._on_change)
        room.on("participant_disconnected", self._on_participant_disconnected)

    def _on_participant_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        linked = self._linked_participant()
        if linked is not None and linked.identity == participant.identity:
            self._is_left = True
        self._on_change()

    def _on_change(self, *_: Any) -> None:
        """Look for a human once the session's own listeners have seen the event."""
        if self._is_left:
            asyncio.get_running_loop().call_soon(self._link_next)

    def _link_next(self) -> None:
        session = self._find_session()
        if not self._is_left or session is None:
            return
        human = next((p for p in self._room.remote_participants.values() if is_human(p)), None)
        if human is not None:
            self._is_left = False
            if self._linked_participant() is None:
                session.room_io.set_participant(human.identity)

    def _linked_participant(self) -> rtc.RemoteParticipant | None:
        """Return the linked participant; None also without a session, and for a session that has no room."""
        session = self._find_session()
        if session is None:
            return None
        try:
            return session.room_io.linked_participant
        except RuntimeError:
            return None
