"""What can go wrong outside, classified once, where it happens.

OutsideError
├── Retryable   it may work later: outage, timeout, throttling, quota
├── Conflict    somebody else was faster: the name is taken or the object has changed
├── NotFound    the object is not there
└── Terminal    asking again cannot help: invalid or forbidden
"""

from typing import Any, Final


class OutsideError(Exception):
    """`reason` is CamelCase for a condition; `message` stays the same between retries and holds no secret."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Retryable(OutsideError):  # noqa: N818 - the classes are read as adjectives
    pass


class Conflict(OutsideError):  # noqa: N818
    pass


class NotFound(OutsideError):  # noqa: N818
    pass


class Terminal(OutsideError):  # noqa: N818
    pass


HTTP_NOT_FOUND: Final = 404
HTTP_CONFLICT: Final = 409
HTTP_FORBIDDEN: Final = 403
_TERMINAL: Final = frozenset({400, HTTP_FORBIDDEN, 405, 413, 415, 422})


def from_kubernetes(status: int, body: dict[str, Any]) -> OutsideError:
    """The error for an answer of the API server; `body` is its `Status` object or empty."""
    reason = body.get("reason") or f"Status{status}"
    message = body.get("message") or "the API server gave no reason"
    if status == HTTP_NOT_FOUND:
        return NotFound(reason, message)
    if status == HTTP_CONFLICT:
        return Conflict(reason, message)
    if status == HTTP_FORBIDDEN and "exceeded quota" in message:
        return Retryable("QuotaExceeded", message)
    return Terminal(reason, message) if status in _TERMINAL else Retryable(reason, message)
