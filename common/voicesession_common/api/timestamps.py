"""Conversion between Kubernetes timestamps (RFC 3339, UTC, milliseconds) and Unix seconds, and the rules for clocks.

| clock | times | resolution |
|---|---|---|
| leading operator | all times in a status, every deadline | milliseconds |
| API server | `creationTimestamp` | whole seconds, rounded down |
| LiveKit | `created_at` of a webhook, `joined_at` of a participant | whole seconds, rounded down |
| agent pod | all times in its state | milliseconds |

A deadline counts from times of the operator's clock. No order of two events follows from times of different clocks: a
fact such as "this pod's agent left" is stored by name. Only `StartSteps` has times of three clocks, for display.

The next leader has another clock too, so a deadline that spans a change of leaders is early or late by the difference
of their clocks. The tolerance is CLOCK_SKEW_SECONDS, as between any two machines. A duration within one process, such
as the age of a Lease or of a list, is measured with a monotonic clock.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from voicesession_common import JsonObject

RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""Python's parser also accepts dates without a time, week dates and times without a zone."""

TIMESTAMP_RESOLUTION_SECONDS: Final = 1.0
"""Kubernetes creation times and LiveKit webhook times are whole seconds, rounded down."""
CLOCK_SKEW_SECONDS: Final = 5.0
"""Largest difference between the clocks of operators, API server, LiveKit and agent pods."""


def to_rfc3339(seconds: float) -> str:
    """Return Unix seconds as a timestamp: `1763853611.5` -> `2025-11-22T23:20:11.500Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str | None) -> float | None:
    """Return a timestamp as Unix seconds, or None for None or empty text. Raises ValueError for any other text."""
    return datetime.fromisoformat(text).timestamp() if text else None


def is_rfc3339(text: str) -> bool:
    """Return True if text from outside is a timestamp, in any zone."""
    if not RFC3339.fullmatch(text.upper()):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class StartSteps:
    """`status.start`: the times of the steps before Ready, in Unix seconds, or None if unknown."""

    pod_created_at: float | None = None
    bound_at: float | None = None
    joined_at: float | None = None

    @classmethod
    def parse(cls, raw: JsonObject | None) -> "StartSteps | None":
        """Return the steps as a value, or None before Ready."""
        if raw is None:
            return None
        return cls(*(from_rfc3339(raw.get(name)) for name in ("podCreatedAt", "boundAt", "joinedAt")))

    def render(self) -> JsonObject:
        """Return the steps as the API server stores them."""
        steps = {"podCreatedAt": self.pod_created_at, "boundAt": self.bound_at, "joinedAt": self.joined_at}
        return {name: None if at is None else to_rfc3339(at) for name, at in steps.items()}
