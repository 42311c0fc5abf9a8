"""A VoiceSession as the terminal shows it. Pure."""

from dataclasses import dataclass

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import from_rfc3339

from voicesession_cli.output import format_duration

HEADER = ("NAME", "AGENT", "PHASE", "HUMANS", "USER", "TALK", "RESETS", "ROOM", "POD", "AGE")


@dataclass(frozen=True)
class SessionRow:
    """One session; times are Unix seconds, and None for events that have not happened."""

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
    """Completion of the latest reset; the current conversation is not older than that."""
    finished_at: float | None

    @classmethod
    def parse(cls, raw: JsonObject) -> "SessionRow":
        """Return the row of a VoiceSession."""
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
            created_at=from_rfc3339(meta["creationTimestamp"]) or 0.0,
            first_human_at=from_rfc3339(status.get("firstHumanAt")),
            last_human_left_at=from_rfc3339(status.get("lastHumanLeftAt")),
            reset_at=from_rfc3339((status.get("lastReset") or {}).get("completedAt")),
            finished_at=from_rfc3339(status.get("finishedAt")),
        )

    @property
    def is_finished(self) -> bool:
        return self.finished_at is not None or self.phase == "Finished"

    def talk_seconds(self, now: float) -> float | None:
        """Return the duration of the conversation so far, or None without a conversation.

        The status does not record the arrival of the first human after a reset; the result is an upper bound then.
        """
        start = self.first_human_at
        if start is None or (not self.humans and self.last_human_left_at is None):
            return None
        if self.reset_at is not None and self.humans:
            start = max(start, self.reset_at)
        end = now if self.humans else self.last_human_left_at
        return None if end is None else max(end - start, 0.0)

    def talk(self, now: float) -> str:
        """Return the duration of the conversation as text; `<` marks an upper bound."""
        seconds = self.talk_seconds(now)
        if seconds is None:
            return ""
        return ("<" if self.reset_at is not None else "") + format_duration(seconds)

    def cells(self, now: float) -> tuple[str, ...]:
        """Return the cells below HEADER."""
        phase = f"{self.phase} ({self.end_reason})" if self.end_reason else self.phase
        counts = (str(self.humans), self.user, self.talk(now), str(self.resets))
        return (self.name, self.agent, phase, *counts, self.room, self.pod, format_duration(now - self.created_at))

    def render(self, now: float) -> JsonObject:
        """Return the session for JSON output."""
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


def table(sessions: list[SessionRow], now: float, *, with_namespace: bool) -> list[tuple[str, ...]]:
    """Return header and rows, sorted by namespace and name."""
    ordered = sorted(sessions, key=lambda session: (session.namespace, session.name))
    rows = [HEADER, *(session.cells(now) for session in ordered)]
    if not with_namespace:
        return rows
    return [(first, *row) for first, row in zip(("NAMESPACE", *(s.namespace for s in ordered)), rows, strict=True)]
