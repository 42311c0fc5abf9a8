"""Why a session is over, and when it will be."""

from dataclasses import dataclass

from voicesession_operator.api.reasons import EndReason


@dataclass(frozen=True)
class Verdict:
    """The end of a session: `reason` for machines, `message` for people."""

    reason: EndReason
    message: str


@dataclass(frozen=True)
class Deadline:
    """A verdict that comes true at a time (Unix seconds), unless something happens before."""

    at: float
    verdict: Verdict
