"""Kubernetes conditions as values."""

from dataclasses import dataclass, replace
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339

MESSAGE_CHARACTERS: Final = 1024
"""Longest message of a stored condition, the same as of an event. The CRDs would refuse more than 32768 characters."""
REASON_CHARACTERS: Final = 128
"""Longest reason of a stored condition: Kubernetes refuses an event with a longer one."""


@dataclass(frozen=True)
class Condition:
    """One entry of `status.conditions`; `since` is lastTransitionTime in Unix seconds."""

    type: str
    status: str
    reason: str
    message: str = ""
    since: float = 0.0

    @classmethod
    def parse(cls, raw: JsonObject) -> "Condition":
        """Return the condition as a value."""
        return cls(
            raw["type"],
            raw["status"],
            raw.get("reason") or "",
            raw.get("message") or "",
            from_rfc3339(raw.get("lastTransitionTime")) or 0.0,
        )

    def render(self) -> JsonObject:
        """Return the condition as the API server stores it."""
        return {
            "type": str(self.type),
            "status": self.status,
            "reason": str(self.reason),
            "message": self.message,
            "lastTransitionTime": to_rfc3339(self.since),
        }


def find_condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """Return the condition of that type, or None if it is absent."""
    return next((c for c in conditions if c.type == kind), None)


def is_condition_true(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Return True if the condition is present and True."""
    found = find_condition(conditions, kind)
    return found is not None and found.status == "True"


def is_condition_false(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Return True if the condition is present and False, not merely Unknown."""
    found = find_condition(conditions, kind)
    return found is not None and found.status == "False"


def set_condition(conditions: tuple[Condition, ...], new: Condition, now: float) -> tuple[Condition, ...]:
    """Set one condition; lastTransitionTime changes only with the status, as the API conventions require.

    A long reason or message, for example of an agent's own entry point, is cut, so that it can be stored.
    """
    old = find_condition(conditions, new.type)
    since = old.since if old and old.status == new.status else now
    reason, message = _cut(new.reason, REASON_CHARACTERS), _cut(new.message, MESSAGE_CHARACTERS)
    updated = replace(new, since=since, reason=reason, message=message)
    if old is None:
        return (*conditions, updated)
    return tuple(updated if c.type == new.type else c for c in conditions)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
