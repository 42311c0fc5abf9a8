"""Errors of external systems, classified once in the client that receives them.

ExternalError
├── RetryableError   may succeed later: outage, timeout, throttling, quota
├── ConflictError    lost a race: the name is taken or the object has changed
├── NotFoundError    the object does not exist
└── TerminalError    a retry cannot help: invalid or forbidden
"""

from typing import Final

from voicesession_common import JsonObject


class ExternalError(Exception):
    """Base class. `reason` is CamelCase, for a condition; `message` is stable between retries and has no secrets."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class RetryableError(ExternalError):
    """The request may succeed later."""


class ConflictError(ExternalError):
    """The name is taken, or the object has changed since it was read."""


class NotFoundError(ExternalError):
    """The object does not exist."""


class TerminalError(ExternalError):
    """A retry cannot help."""


NO_SUCH_KIND: Final = "Status404"
"""Reason of the API server's plain 404, without a `Status`, for a kind without a CRD. A proxy's 404 has it too."""
HTTP_NOT_FOUND: Final = 404
HTTP_CONFLICT: Final = 409
HTTP_FORBIDDEN: Final = 403
_TERMINAL: Final = frozenset({400, HTTP_FORBIDDEN, 405, 413, 415, 422})


def from_kubernetes(status: int, body: JsonObject) -> ExternalError:
    """Return the error for an answer of the API server; `body` is its JSON object or empty.

    An answer without a `Status` is not the API server's. A proxy's 404, for example, says nothing about the object.

    A creation beside others can be refused with 409 because the ResourceQuota has changed: its name is not taken.
    """
    reason = str(body.get("reason") or f"Status{status}")
    message = str(body.get("message") or "the API server gave no reason")
    if body.get("kind") != "Status":
        return RetryableError(reason, message)
    if status == HTTP_NOT_FOUND:
        return NotFoundError(reason, message)
    if status == HTTP_CONFLICT and "cannot be fulfilled on resourcequotas" in message:
        return RetryableError("QuotaConflict", message)
    if status == HTTP_CONFLICT:
        return ConflictError(reason, message)
    if status == HTTP_FORBIDDEN and "exceeded quota" in message:
        return RetryableError("QuotaExceeded", message)
    return TerminalError(reason, message) if status in _TERMINAL else RetryableError(reason, message)
