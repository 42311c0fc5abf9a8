"""The VoiceAgent resource as a value: the reusable definition of an agent."""

from dataclasses import dataclass, field

from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition


@dataclass(frozen=True)
class LettaMemorySpec:
    """`spec.memory.letta`: the Letta agent that stores the memory."""

    agent: str = ""
    agent_id: str = ""
    blocks: tuple[JsonObject, ...] = ()
    capture: bool = True
    scope: str = "Agent"
    """`Agent`: one memory for all sessions. `User`: one memory for each `spec.user`."""


@dataclass(frozen=True)
class VoiceAgent:
    """A parsed VoiceAgent."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: JsonObject
    """The spec as stored. The agent process gets a copy; the spec has names of Secrets, never secrets."""
    display_name: str
    letta: LettaMemorySpec | None = None
    letta_agent_id: str = ""
    """From the status: the Letta agent that was found or created; empty until then."""
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = field(default=())

    @classmethod
    def parse(cls, raw: JsonObject) -> "VoiceAgent":
        """Return the API server's JSON as a value."""
        meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=meta.get("generation", 1),
            spec=spec,
            display_name=spec.get("displayName") or meta["name"],
            letta=_letta(spec.get("memory", {}).get("letta")),
            letta_agent_id=(status.get("letta") or {}).get("agentID") or "",
            observed_generation=status.get("observedGeneration", 0),
            conditions=tuple(Condition.parse(c) for c in status.get("conditions") or ()),
        )


def _letta(raw: JsonObject | None) -> LettaMemorySpec | None:
    if raw is None:
        return None
    return LettaMemorySpec(
        agent=raw.get("agent", ""),
        agent_id=raw.get("agentID", ""),
        blocks=tuple(raw.get("blocks", ())),
        capture=raw.get("capture", True),
        scope=raw.get("scope", "Agent"),
    )
