"""Kubernetes timestamps (RFC 3339, UTC, milliseconds) to Unix seconds and back."""

from datetime import UTC, datetime


def to_rfc3339(seconds: float) -> str:
    """`1763853611.5` -> `2025-11-22T23:20:11.500Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str | None) -> float | None:
    """The reverse; None stays None. Raises ValueError for anything that is not a timestamp."""
    return datetime.fromisoformat(text).timestamp() if text else None
