"""Kubernetes timestamps as Unix seconds, and seconds as people read them."""

import time
from datetime import UTC, datetime
from typing import Final

MINUTE, HOUR, DAY = 60, 3600, 86400
BRIEF: Final = 120
"""Below this many seconds a duration is told in seconds only, as kubectl does."""


def now() -> float:
    return time.time()


def unix(text: str | None) -> float | None:
    """`2026-11-24T11:02:29.639Z` -> 1795518149.639; None stays None."""
    return datetime.fromisoformat(text).timestamp() if text else None


def rfc3339(at: float) -> str:
    """The reverse, in UTC with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: float) -> str:
    """`11:02:29.639`, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """At most two units: `0s`, `95s`, `2m5s`, `3h20m`, `4d2h`."""
    whole = max(int(seconds), 0)
    if whole < BRIEF:
        return f"{whole}s"
    for unit, letter, smaller, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "m"), (MINUTE, "m", 1, "s")):
        if whole >= unit:
            rest = whole % unit // smaller
            return f"{whole // unit}{letter}" + (f"{rest}{small}" if rest else "")
    return f"{whole}s"


def precise(seconds: float) -> str:
    """With milliseconds below a minute, where they matter: `5.230s`, else as `span`."""
    return f"{seconds:.3f}s" if seconds < MINUTE else span(seconds)
