"""Why a caller does not get what she asked for: one class, one list of kinds, each with its HTTP status."""

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What `error.code` can be, unless the session's own reason says more."""

    INVALID_REQUEST = "InvalidRequest"
    """The body is no JSON object, or a field has a wrong type, is too long or makes no sense."""
    FIELD_NOT_ALLOWED = "FieldNotAllowed"
    """The field exists, and callers may not set it."""
    AGENT_REQUIRED = "AgentRequired"
    """No agent is named, and the gateway has no default one."""
    UNAUTHENTICATED = "Unauthenticated"
    """There is no key or token, or it is not a valid one."""
    USER_NOT_ALLOWED = "UserNotAllowed"
    """The caller asks for a session of another user than her token says."""
    ORIGIN_NOT_ALLOWED = "OriginNotAllowed"
    """A page of another origin asks, and this origin is not allowed."""
    HOST_NOT_ALLOWED = "HostNotAllowed"
    """Without authentication: the request is for a host that is neither localhost, an IP address nor a known name."""
    NOT_FOUND = "NotFound"
    """There is nothing at this path."""
    UNKNOWN_AGENT = "UnknownAgent"
    """There is no VoiceAgent of that name."""
    UNKNOWN_SESSION = "UnknownSession"
    """The caller has no session of that name."""
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    """The path exists for other methods only."""
    CONFLICT = "Conflict"
    """The conversation exists with another agent, or the session kept changing."""
    TOO_LARGE = "TooLarge"
    """The body is longer than any request needs to be."""
    NOT_JSON = "NotJSON"
    """The Content-Type is not application/json."""
    INVALID_SESSION = "InvalidSession"
    """The API server refuses such a session."""
    RATE_LIMITED = "RateLimited"
    """Too many requests of this caller, or for this user; Retry-After says when there is room again."""
    TOO_MANY_SESSIONS = "TooManySessions"
    """The caller, or the user, has as many live sessions as are allowed at once."""
    TOO_MANY_STREAMS = "TooManyStreams"
    """The caller follows as many sessions as are allowed at once."""
    INTERNAL = "Internal"
    """The gateway failed; its log says at what."""
    UNAVAILABLE = "Unavailable"
    """Kubernetes or the identity provider does not answer, or this replica is just starting."""
    SESSION_ENDED = "SessionEnded"
    """The session ended before its agent came; the code is its end reason."""
    SESSION_NOT_READY = "SessionNotReady"
    """The agent was not in the room in time; the code is the reason of the condition that is missing."""


STATUS: Final = {
    Kind.INVALID_REQUEST: 400,
    Kind.FIELD_NOT_ALLOWED: 400,
    Kind.AGENT_REQUIRED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.USER_NOT_ALLOWED: 403,
    Kind.ORIGIN_NOT_ALLOWED: 403,
    Kind.HOST_NOT_ALLOWED: 403,
    Kind.NOT_FOUND: 404,
    Kind.UNKNOWN_AGENT: 404,
    Kind.UNKNOWN_SESSION: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.NOT_JSON: 415,
    Kind.INVALID_SESSION: 422,
    Kind.RATE_LIMITED: 429,
    Kind.TOO_MANY_SESSIONS: 429,
    Kind.TOO_MANY_STREAMS: 429,
    Kind.INTERNAL: 500,
    Kind.UNAVAILABLE: 503,
    Kind.SESSION_ENDED: 503,
    Kind.SESSION_NOT_READY: 504,
}


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of ours
    """`reason` replaces the kind as `error.code`; `retry_after` is in seconds, 0 for none."""

    def __init__(self, kind: Kind, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.reason = reason or str(kind)
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return STATUS[self.kind]

    def render(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.reason, "message": self.message}}
