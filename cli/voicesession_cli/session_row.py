"""A VoiceSession as the terminal shows it. Pure."""

from dataclasses import dataclass
from typing import Any

from voicesession_cli.output import span, unix

Json = dict[str, Any]
HEADER = ("NAME", "AGENT", "PHASE", "HUMANS", "USER", "TALK", "RESETS", "ROOM", "POD", "AGE")


@dataclass(frozen=True)
class Sight:
    """Times are Unix seconds, None while they have not happened."""

    namespace: str
    name: str
    uid: str
    agent: str
    user: str
    phase: str
    humans: int
    resets: int
    room: str
    pod: str
    end_reason: str
    created_at: float
    first_human_at: float | None
    last_human_left_at: float | None
    reset_at: float | None
    """When the latest reset was over: whoever talks now began after it."""
    finished_at: float | None

    @classmethod
    def of(cls, raw: Json) -> "Sight":
        meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            agent=spec["agentRef"]["name"],
            user=spec.get("user", ""),
            phase=status.get("phase", "Pending"),
            humans=status.get("humans", 0),
            resets=status.get("resets", 0),
            room=(status.get("room") or {}).get("name", ""),
            pod=(status.get("agent") or {}).get("pod", ""),
            end_reason=status.get("endReason") or "",
            created_at=unix(meta["creationTimestamp"]) or 0.0,
            first_human_at=unix(status.get("firstHumanAt")),
            last_human_left_at=unix(status.get("lastHumanLeftAt")),
            reset_at=unix((status.get("lastReset") or {}).get("completedAt")),
            finished_at=unix(status.get("finishedAt")),
        )

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None or self.phase == "Finished"

    def talk_seconds(self, now: float) -> float | None:
        """How long this conversation lasts, or lasted; None where there is none.

        After a reset nobody has written down when the next human came: then it is the most that it can be.
        """
        began = self.first_human_at
        if began is None or (not self.humans and self.last_human_left_at is None):
            return None
        if self.reset_at is not None and self.humans:
            began = max(began, self.reset_at)
        until = now if self.humans else self.last_human_left_at
        return None if until is None else max(until - began, 0.0)

    def talk(self, now: float) -> str:
        """`<` says that it may have been less."""
        seconds = self.talk_seconds(now)
        if seconds is None:
            return ""
        return ("<" if self.reset_at is not None else "") + span(seconds)

    def row(self, now: float) -> tuple[str, ...]:
        """The cells below HEADER."""
        phase = f"{self.phase} ({self.end_reason})" if self.end_reason else self.phase
        counts = (str(self.humans), self.user, self.talk(now), str(self.resets))
        return (self.name, self.agent, phase, *counts, self.room, self.pod, span(now - self.created_at))

    def render(self, now: float) -> Json:
        """For programs."""
        seconds = self.talk_seconds(now)
        return {
            "namespace": self.namespace,
            "name": self.name,
            "agent": self.agent,
            "user": self.user or None,
            "phase": self.phase,
            "endReason": self.end_reason or None,
            "humans": self.humans,
            "talkSeconds": None if seconds is None else round(seconds, 3),
            "resets": self.resets,
            "room": self.room or None,
            "pod": self.pod or None,
            "ageSeconds": round(now - self.created_at, 3),
        }


def table(sights: list[Sight], now: float, *, with_namespace: bool) -> list[tuple[str, ...]]:
    """Header and rows, by namespace and name."""
    ordered = sorted(sights, key=lambda sight: (sight.namespace, sight.name))
    rows = [HEADER, *(sight.row(now) for sight in ordered)]
    if not with_namespace:
        return rows
    return [(first, *row) for first, row in zip(("NAMESPACE", *(s.namespace for s in ordered)), rows, strict=True)]
