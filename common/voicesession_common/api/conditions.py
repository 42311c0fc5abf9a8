"""Kubernetes conditions as values."""

from dataclasses import dataclass, replace

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339


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
        return cls(
            raw["type"],
            raw["status"],
            raw.get("reason") or "",
            raw.get("message") or "",
            from_rfc3339(raw.get("lastTransitionTime")) or 0.0,
        )

    def render(self) -> JsonObject:
        return {
            "type": str(self.type),
            "status": self.status,
            "reason": str(self.reason),
            "message": self.message,
            "lastTransitionTime": to_rfc3339(self.since),
        }


def find(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of that type, if it is there."""
    return next((c for c in conditions if c.type == kind), None)


def is_true(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Whether the condition is there and True."""
    found = find(conditions, kind)
    return found is not None and found.status == "True"


def is_false(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Whether the condition is there and False: not merely unknown."""
    found = find(conditions, kind)
    return found is not None and found.status == "False"


def put(conditions: tuple[Condition, ...], new: Condition, now: float) -> tuple[Condition, ...]:
    """Set one condition; lastTransitionTime moves only when its status changes, as the API conventions ask."""
    old = find(conditions, new.type)
    since = old.since if old and old.status == new.status else now
    placed = replace(new, since=since)
    if old is None:
        return (*conditions, placed)
    return tuple(placed if c.type == new.type else c for c in conditions)
