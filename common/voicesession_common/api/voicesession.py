"""The VoiceSession resource as immutable values, parsed once on arrival."""

from dataclasses import dataclass, field
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.conditions import Condition
from voicesession_common.api.reasons import ResetOutcome
from voicesession_common.api.timestamps import StartSteps, from_rfc3339, is_rfc3339, to_rfc3339
from voicesession_common.api.voiceagent import Inherited, Limits, OnLastHumanLeft, override

MAX_RESET_REQUEST_CHARACTERS: Final = 64
"""Length limit of a reset request: a timestamp needs half of it, while an annotation may have 256 KiB."""


@dataclass(frozen=True)
class LastReset:
    """`status.lastReset`: the latest reset or recycle. Times are Unix seconds."""

    cause: str
    started_at: float
    completed_at: float | None = None
    outcome: str = ResetOutcome.RUNNING
    request: str = ""
    """The latest reset request that was handled, by this reset or an earlier one."""

    @classmethod
    def parse(cls, raw: JsonObject | None) -> "LastReset | None":
        """Return the reset as a value, or None if there was none."""
        started_at = from_rfc3339((raw or {}).get("startedAt"))
        if raw is None or started_at is None:
            return None
        outcome = raw.get("outcome") or ResetOutcome.RUNNING
        completed_at, request = from_rfc3339(raw.get("completedAt")), raw.get("request") or ""
        return cls(raw.get("cause") or "", started_at, completed_at, outcome, request)

    def render(self) -> JsonObject:
        """Return the reset as the API server stores it."""
        completed_at = None if self.completed_at is None else to_rfc3339(self.completed_at)
        return {
            "cause": str(self.cause),
            "startedAt": to_rfc3339(self.started_at),
            "completedAt": completed_at,
            "outcome": str(self.outcome),
            "request": self.request or None,
        }


@dataclass(frozen=True)
class Absence:
    """`status.agent.absence`: the wait for an agent that is not in the room."""

    pod: str
    """The pod of that agent; empty while there is none."""
    since: float
    """Start of this pod's time, by the operator's clock: its agent left, or the pod was first seen."""
    left: bool = False
    """True if this pod's agent was in the room and left it; False if it is starting."""

    @classmethod
    def parse(cls, raw: JsonObject | None) -> "Absence | None":
        """Return the absence as a value, or None if the agent is in the room."""
        since = from_rfc3339((raw or {}).get("since"))
        return None if raw is None or since is None else cls(raw.get("pod") or "", since, bool(raw.get("left")))

    def render(self) -> JsonObject:
        """Return the absence as the API server stores it."""
        return {"pod": self.pod, "since": to_rfc3339(self.since), "left": self.left}


@dataclass(frozen=True)
class Outage:
    """An entry of `status.room.outages`: a time without the room, or without an answer of LiveKit. Unix seconds."""

    since: float
    until: float

    @classmethod
    def parse(cls, raw: JsonObject) -> "Outage":
        """Return the outage as a value."""
        return cls(from_rfc3339(raw.get("since")) or 0.0, from_rfc3339(raw.get("until")) or 0.0)

    def render(self) -> JsonObject:
        """Return the outage as the API server stores it."""
        return {"since": to_rfc3339(self.since), "until": to_rfc3339(self.until)}


@dataclass(frozen=True)
class Status:
    """`status` of a VoiceSession. Times are Unix seconds, or None before the event."""

    observed_generation: int = 0
    inherited: Inherited | None = None
    """None until the VoiceAgent is known."""
    conditions: tuple[Condition, ...] = ()
    phase: str = "Pending"
    room_name: str = ""
    room_sid: str = ""
    room_url: str = ""
    outages: tuple[Outage, ...] = ()
    """The latest ones after Ready."""
    agent_pod: str = ""
    """The serving pod; empty while there is none."""
    pod_ordinal: int | None = None  # None also in the status of an earlier operator
    next_pod: str = ""
    """The successor during a recycle: the pod that will take over."""
    agent_identity: str = ""
    agent_epoch: int = 0
    absence: Absence | None = None
    """None while the agent is in the room."""
    memory_agent_id: str = ""
    humans: int = 0
    resets: int = 0
    """Recycles included."""
    recycles: int = 0
    last_reset: LastReset | None = None
    refused_request: str = ""
    """A reset request that is not a timestamp; empty after the annotation is corrected or removed."""
    replacements: int = 0
    replaced_at: tuple[float, ...] | None = None
    """Times of the latest replacements; None before the first one, and in the status of an earlier operator."""
    started_at: float | None = None
    ready_at: float | None = None
    start: StartSteps | None = None
    first_human_at: float | None = None
    last_human_left_at: float | None = None
    last_human_left_reason: str = ""
    finished_at: float | None = None
    end_reason: str = ""

    @property
    def desired_epoch(self) -> int:
        """Return the number of the current conversation, from 1. A pod acts only on a higher epoch than its own."""
        return 1 + self.resets + self.replacements

    @property
    def newest_ordinal(self) -> int:
        """Return the ordinal of the newest pod, created or not. Lower pods are deleted, except the serving pod."""
        return self.replacements + self.recycles

    @property
    def is_resetting(self) -> bool:
        """Return True during a reset, until its new agent is in the room. Before that, the room has the old agent."""
        return self.last_reset is not None and self.last_reset.outcome == ResetOutcome.RUNNING

    @classmethod
    def parse(cls, raw: JsonObject) -> "Status":
        """Return the status as a value; absent and null fields get their defaults."""
        room, agent = raw.get("room") or {}, raw.get("agent") or {}
        return cls(
            observed_generation=raw.get("observedGeneration", 0),
            inherited=Inherited.parse(raw.get("inherited")),
            conditions=tuple(Condition.parse(c) for c in raw.get("conditions") or ()),
            phase=raw.get("phase", "Pending"),
            room_name=room.get("name", ""),
            room_sid=room.get("sid", ""),
            room_url=room.get("url", ""),
            outages=tuple(Outage.parse(outage) for outage in room.get("outages") or ()),
            agent_pod=agent.get("pod", ""),
            pod_ordinal=agent.get("podOrdinal"),
            next_pod=agent.get("nextPod") or "",
            agent_identity=agent.get("identity", ""),
            agent_epoch=agent.get("epoch", 0),
            absence=Absence.parse(agent.get("absence")),
            memory_agent_id=agent.get("memoryAgentID") or "",
            humans=raw.get("humans", 0),
            resets=raw.get("resets", 0),
            recycles=raw.get("recycles", 0),
            last_reset=LastReset.parse(raw.get("lastReset")),
            refused_request=raw.get("refusedRequest") or "",
            replacements=raw.get("replacements", 0),
            replaced_at=_parse_times(raw.get("recentReplacements")),
            started_at=from_rfc3339(raw.get("startedAt")),
            ready_at=from_rfc3339(raw.get("readyAt")),
            start=StartSteps.parse(raw.get("start")),
            first_human_at=from_rfc3339(raw.get("firstHumanAt")),
            last_human_left_at=from_rfc3339(raw.get("lastHumanLeftAt")),
            last_human_left_reason=raw.get("lastHumanLeftReason") or "",
            finished_at=from_rfc3339(raw.get("finishedAt")),
            end_reason=raw.get("endReason") or "",
        )

    def render(self) -> JsonObject:
        """Return the status as the API server stores it. Absent values are null, so that a merge patch clears them."""
        times = {"startedAt": self.started_at, "readyAt": self.ready_at, "firstHumanAt": self.first_human_at}
        times |= {"lastHumanLeftAt": self.last_human_left_at, "finishedAt": self.finished_at}
        return {
            "observedGeneration": self.observed_generation,
            "inherited": None if self.inherited is None else self.inherited.render(),
            "conditions": [c.render() for c in self.conditions],
            "phase": str(self.phase),
            "room": {
                "name": self.room_name,
                "sid": self.room_sid,
                "url": self.room_url,
                "outages": [outage.render() for outage in self.outages] or None,
            },
            "agent": self._render_agent(),
            "humans": self.humans,
            "resets": self.resets,
            "recycles": self.recycles,
            "lastReset": None if self.last_reset is None else self.last_reset.render(),
            "refusedRequest": self.refused_request or None,
            "start": None if self.start is None else self.start.render(),
            "replacements": self.replacements,
            "recentReplacements": None if self.replaced_at is None else [to_rfc3339(at) for at in self.replaced_at],
            "lastHumanLeftReason": str(self.last_human_left_reason) or None,
            "endReason": str(self.end_reason) or None,
            **{name: None if at is None else to_rfc3339(at) for name, at in times.items()},
        }

    def _render_agent(self) -> JsonObject:
        return {
            "pod": self.agent_pod,
            "podOrdinal": self.pod_ordinal,
            "nextPod": self.next_pod or None,
            "identity": self.agent_identity,
            "epoch": self.agent_epoch,
            "absence": None if self.absence is None else self.absence.render(),
            "memoryAgentID": self.memory_agent_id or None,
        }


@dataclass(frozen=True)
class VoiceSession:
    """A parsed VoiceSession."""

    namespace: str
    name: str
    uid: str
    generation: int
    created_at: float
    agent_ref: str
    deleting: bool = False
    user: str = ""
    end: bool = False
    max_participants: int = 0
    room_metadata: str = ""
    agent_metadata: str = field(default="", repr=False)
    """For the agent's job only."""
    on_last_human_left: OnLastHumanLeft = field(default_factory=OnLastHumanLeft)
    limits: Limits = field(default_factory=Limits)
    ttl_seconds_after_finished: float | None = 600
    reset_request: str = ""
    """The annotation that requests a reset, cut to MAX_RESET_REQUEST_CHARACTERS."""
    human_expected_at: float | None = None
    """The annotation with the time of the gateway's latest token, by the gateway's clock; None if it is no time."""
    traceparent: str = ""
    """The annotation as written by its creator; may be malformed."""
    status: Status = field(default_factory=Status)

    @classmethod
    def parse(cls, raw: JsonObject, agent_spec: JsonObject | None = None) -> "VoiceSession":
        """Return the API server's JSON as a value.

        Settings without a value in `spec` come from `status.inherited`. Before the session begins, they come from
        `agent_spec`, the spec of its VoiceAgent.
        """
        meta, spec = raw["metadata"], raw["spec"]
        room, status = spec.get("room", {}), Status.parse(raw.get("status") or {})
        inherited = status.inherited or Inherited.of_agent(agent_spec or {})
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            created_at=from_rfc3339(meta["creationTimestamp"]) or 0.0,
            deleting="deletionTimestamp" in meta,
            agent_ref=spec["agentRef"]["name"],
            user=spec.get("user", ""),
            end=spec.get("end", False),
            max_participants=room.get("maxParticipants", 0),
            room_metadata=room.get("metadata", ""),
            agent_metadata=spec.get("agentMetadata", ""),
            on_last_human_left=override(inherited.on_last_human_left, spec.get("onLastHumanLeft")),
            limits=override(inherited.limits, spec.get("limits")),
            ttl_seconds_after_finished=spec.get("ttlSecondsAfterFinished", 600),
            reset_request=_reset_request(meta),
            human_expected_at=_human_expected_at(meta),
            traceparent=_annotation(meta, constants.TRACEPARENT_ANNOTATION),
            status=status,
        )


def _parse_times(raw: list[str] | None) -> tuple[float, ...] | None:
    return None if raw is None else tuple(from_rfc3339(at) or 0.0 for at in raw)


def _reset_request(meta: JsonObject) -> str:
    return _annotation(meta, constants.RESET_REQUESTED_AT_ANNOTATION)[:MAX_RESET_REQUEST_CHARACTERS]


def _human_expected_at(meta: JsonObject) -> float | None:
    written = _annotation(meta, constants.HUMAN_EXPECTED_AT_ANNOTATION).upper()
    return from_rfc3339(written) if is_rfc3339(written) else None


def _annotation(meta: JsonObject, name: str) -> str:
    return str((meta.get("annotations") or {}).get(name, ""))
