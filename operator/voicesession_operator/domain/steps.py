"""Decisions that are stored before they are acted on: whoever dies in between, the next leader goes on from there.

Each is a status that is to be written when its time has come; what has to be told, made or deleted follows from it.
"""

from dataclasses import dataclass

from voicesession_operator.api.session import Status


@dataclass(frozen=True)
class Step:
    """`status` is due at `at` (Unix seconds), unless something happens before."""

    at: float
    status: Status
