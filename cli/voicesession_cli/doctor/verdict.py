"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "OK"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Verdict:
    """`mend` is one line that says what to do; empty where nothing is wrong."""

    check: str
    state: State
    message: str
    mend: str = ""


def ok(check: str, message: str) -> Verdict:
    return Verdict(check, State.OK, message)


def failed(check: str, message: str, mend: str) -> Verdict:
    return Verdict(check, State.FAILED, message, mend)


def skipped(check: str, message: str) -> Verdict:
    return Verdict(check, State.SKIPPED, message)
