"""Errors that the API returns: one exception class and one list of codes, each with its HTTP status."""

from enum import StrEnum
from typing import Final


class ErrorCode(StrEnum):
    """Values of `error.code`. An ApiError can replace the code with the more specific reason of a session."""

    INVALID_REQUEST = "InvalidRequest"
    """The body is not a JSON object, or a field has a wrong type, is too long or has an invalid value."""
    FIELD_NOT_ALLOWED = "FieldNotAllowed"
    """The field exists, but callers must not set it."""
    AGENT_REQUIRED = "AgentRequired"
    """The request names no agent, and the gateway has no default agent."""
    UNAUTHENTICATED = "Unauthenticated"
    """The key or token is missing or invalid."""
    USER_NOT_ALLOWED = "UserNotAllowed"
    """The request names another user than the caller's token."""
    ORIGIN_NOT_ALLOWED = "OriginNotAllowed"
    """The request comes from a page whose origin is not allowed."""
    HOST_NOT_ALLOWED = "HostNotAllowed"
    """Without authentication: the Host is neither localhost, an IP address nor an allowed name."""
    NOT_FOUND = "NotFound"
    """The path does not exist."""
    UNKNOWN_AGENT = "UnknownAgent"
    """No VoiceAgent has this name."""
    UNKNOWN_SESSION = "UnknownSession"
    """The caller has no session with this name."""
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    """The path exists, but not for this method."""
    CONFLICT = "Conflict"
    """The conversation has another agent, or its session kept changing."""
    TOO_LARGE = "TooLarge"
    """The body exceeds the size limit."""
    NOT_JSON = "NotJSON"
    """The Content-Type is not application/json."""
    INVALID_SESSION = "InvalidSession"
    """The API server rejected the session."""
    RATE_LIMITED = "RateLimited"
    """The caller or the user sends too many requests; Retry-After gives the seconds to wait."""
    TOO_MANY_SESSIONS = "TooManySessions"
    """The caller or the user has reached the limit of live sessions."""
    TOO_MANY_STREAMS = "TooManyStreams"
    """The caller has reached the limit of open event streams."""
    INTERNAL = "Internal"
    """The gateway failed; its log has the details."""
    UNAVAILABLE = "Unavailable"
    """Kubernetes or the identity provider does not answer, or this replica is starting."""
    SESSION_ENDED = "SessionEnded"
    """The session ended before its agent joined; the code is the end reason."""
    SESSION_NOT_READY = "SessionNotReady"
    """The agent did not join in time; the code is the reason of the condition that is not met."""


STATUS: Final = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.FIELD_NOT_ALLOWED: 400,
    ErrorCode.AGENT_REQUIRED: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.USER_NOT_ALLOWED: 403,
    ErrorCode.ORIGIN_NOT_ALLOWED: 403,
    ErrorCode.HOST_NOT_ALLOWED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.UNKNOWN_AGENT: 404,
    ErrorCode.UNKNOWN_SESSION: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.NOT_JSON: 415,
    ErrorCode.INVALID_SESSION: 422,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.TOO_MANY_SESSIONS: 429,
    ErrorCode.TOO_MANY_STREAMS: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.SESSION_ENDED: 503,
    ErrorCode.SESSION_NOT_READY: 504,
}


class ApiError(Exception):
    """An error response. The caller sees `reason` as `error.code`; it defaults to `code`.

    `retry_after` is in seconds; 0 sends no Retry-After header.
    """

    def __init__(self, code: ErrorCode, message: str, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason or str(code)
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return STATUS[self.code]

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return the response body."""
        return {"error": {"code": self.reason, "message": self.message}}
