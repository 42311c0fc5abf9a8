"""The VoicePool resource as values: warm agent pods of one VoiceAgent, for sessions to claim."""

from dataclasses import dataclass, field
from enum import StrEnum

from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition


class AutoscalingMode(StrEnum):
    """Values of `spec.autoscaling.mode`."""

    DISABLED = "Disabled"
    """The pool keeps `spec.replicas` pods warm, or `warm.min` if there is none."""
    ARRIVALS = "Arrivals"
    """The pool follows the arrivals of sessions within `warm.min` and `warm.max`."""


@dataclass(frozen=True)
class PoolStatus:
    """`status` of a VoicePool."""

    observed_generation: int = 0
    desired: int = 0
    """Desired number of warm pods."""
    replicas: int = 0
    """Pods of the pool that no session has claimed."""
    warm: int = 0
    """Pods of the current template that wait for a session."""
    warming: int = 0
    """Pods of the current template that are starting."""
    claimed: int = 0
    """Pods that live sessions have claimed."""
    stale: int = 0
    """Pods of an earlier template."""
    hits: int = 0
    """Pods claimed since the pool was created."""
    misses: int = 0
    """Sessions that needed a pod while none was warm, since the pool was created."""
    arrivals_per_minute: int = 0
    refill_seconds: int = 0
    """Seconds from the creation of a pod until it is warm; 0 before the first one."""
    selector: str = ""
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def parse(cls, raw: JsonObject) -> "PoolStatus":
        """Return the status as a value; absent fields get their defaults."""
        return cls(
            observed_generation=raw.get("observedGeneration", 0),
            desired=raw.get("desired", 0),
            replicas=raw.get("replicas", 0),
            warm=raw.get("warm", 0),
            warming=raw.get("warming", 0),
            claimed=raw.get("claimed", 0),
            stale=raw.get("stale", 0),
            hits=raw.get("hits", 0),
            misses=raw.get("misses", 0),
            arrivals_per_minute=raw.get("arrivalsPerMinute", 0),
            refill_seconds=raw.get("refillSeconds", 0),
            selector=raw.get("selector", ""),
            conditions=tuple(Condition.parse(c) for c in raw.get("conditions") or ()),
        )

    def render(self) -> JsonObject:
        """Return the status as the API server stores it."""
        return {
            "observedGeneration": self.observed_generation,
            "desired": self.desired,
            "replicas": self.replicas,
            "warm": self.warm,
            "warming": self.warming,
            "claimed": self.claimed,
            "stale": self.stale,
            "hits": self.hits,
            "misses": self.misses,
            "arrivalsPerMinute": self.arrivals_per_minute,
            "refillSeconds": self.refill_seconds,
            "selector": self.selector,
            "conditions": [c.render() for c in self.conditions],
        }


@dataclass(frozen=True)
class VoicePool:
    """A parsed VoicePool."""

    namespace: str
    name: str
    uid: str
    generation: int
    agent_ref: str
    deleting: bool = False
    minimum: int = 1
    maximum: int = 1
    replicas: int | None = None
    """The number that an autoscaler outside of this project, or `kubectl scale`, has set; None if none has."""
    mode: str = AutoscalingMode.DISABLED
    status: PoolStatus = field(default_factory=PoolStatus)

    @classmethod
    def parse(cls, raw: JsonObject) -> "VoicePool":
        """Return the API server's JSON as a value. `warm.max` has at least the value of `warm.min`."""
        meta, spec = raw["metadata"], raw["spec"]
        warm = spec.get("warm") or {}
        minimum = warm.get("min", 1)
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            agent_ref=spec["agentRef"]["name"],
            deleting="deletionTimestamp" in meta,
            minimum=minimum,
            maximum=max(warm.get("max", minimum), minimum),
            replicas=spec.get("replicas"),
            mode=(spec.get("autoscaling") or {}).get("mode", AutoscalingMode.DISABLED),
            status=PoolStatus.parse(raw.get("status") or {}),
        )
