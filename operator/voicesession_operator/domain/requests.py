"""A reset that somebody asked for by the session's annotation: once for each value, which the status remembers."""

from dataclasses import replace

from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.api.times import is_rfc3339
from voicesession_operator.domain.attendance import counted_from


def note_request(session: VoiceSession, status: Status) -> Status:
    """Remember what cannot be obeyed, so that it is told of once."""
    refused = session.reset_request and not is_rfc3339(session.reset_request)
    return replace(status, refused_request=session.reset_request if refused else "")


def asked_for(session: VoiceSession, status: Status) -> float | None:
    """When (Unix seconds) the reset is due: at once, but not before the first agent came, nor without LiveKit.

    The time that was written is a name for the request and decides nothing: clocks differ.
    """
    if not session.reset_request or status.refused_request or session.reset_request == acted_on(status):
        return None
    return counted_from(status, status.ready_at, 0.0)


def acted_on(status: Status) -> str:
    """The request that the latest reset, or one before it, was begun for."""
    return "" if status.last_reset is None else status.last_reset.request
