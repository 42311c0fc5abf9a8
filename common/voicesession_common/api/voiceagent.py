"""The VoiceAgent resource as a value: the reusable definition of an agent, and the settings that sessions inherit."""

from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Final, TypeVar

from voicesession_common import JsonObject
from voicesession_common.api.conditions import Condition
from voicesession_common.api.constants import FORGET_USER_ANNOTATION, USER_SCOPE
from voicesession_common.api.reasons import Action
from voicesession_common.api.timestamps import from_rfc3339, to_rfc3339

REMEMBER_BLOCK: Final = "human"
"""Label of the block that the agent writes, if the VoiceAgent names none."""
ENABLED: Final = "Enabled"
"""Value of `memory.letta.remember`."""
PROBLEM_CHARACTERS: Final = 1024
"""Longest problem in `status.forgotten`."""


@dataclass(frozen=True)
class OnLastHumanLeft:
    """`spec.onLastHumanLeft`: the action and its two grace periods."""

    action: str = Action.TEARDOWN
    grace_seconds: float = 3
    reconnect_grace_seconds: float = 30


@dataclass(frozen=True)
class Limits:
    """`spec.limits`."""

    start_seconds: float = 60
    join_seconds: float = 300
    idle_seconds: float = 0
    max_duration_seconds: float = 3600
    max_replacements: int = 3


@dataclass(frozen=True)
class Inherited:
    """`status.inherited` of a VoiceSession: its VoiceAgent's settings over the built-in ones.

    They are stored once, when the session begins. A later change of the VoiceAgent does not change the session.
    """

    limits: Limits = Limits()
    on_last_human_left: OnLastHumanLeft = OnLastHumanLeft()

    @classmethod
    def of_agent(cls, spec: JsonObject) -> "Inherited":
        """Return the settings of a VoiceAgent's spec."""
        return cls(override(Limits(), spec.get("limits")), override(OnLastHumanLeft(), spec.get("onLastHumanLeft")))

    @classmethod
    def parse(cls, raw: JsonObject | None) -> "Inherited | None":
        """Return the settings as a value, or None before they are stored."""
        return cls.of_agent(raw) if raw else None

    def render(self) -> JsonObject:
        """Return the settings as the API server stores them."""
        return {"limits": _to_json(self.limits), "onLastHumanLeft": _to_json(self.on_last_human_left)}


Settings = TypeVar("Settings", Limits, OnLastHumanLeft)


def override(settings: Settings, own: JsonObject | None) -> Settings:
    """Return the settings with the values of `own`, which has the camelCase keys of the resource."""
    given = own or {}
    return replace(settings, **{f.name: given[_camel(f.name)] for f in fields(settings) if _camel(f.name) in given})


def _to_json(settings: Limits | OnLastHumanLeft) -> JsonObject:
    return {_camel(f.name): getattr(settings, f.name) for f in fields(settings)}


@cache
def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True)
class LettaMemorySpec:
    """`spec.memory.letta`: the Letta agent that stores the memory."""

    agent: str = ""
    agent_id: str = ""
    blocks: tuple[JsonObject, ...] = ()
    capture: bool = True
    scope: str = USER_SCOPE
    """`Agent`: one memory for all sessions. `User`: one memory for each `spec.user`."""
    remember: str = ""
    """`Enabled` or `Disabled`; empty: enabled for the memory of a user only."""
    remember_block: str = REMEMBER_BLOCK
    retention_days: int = 0
    """Days after which the unused memory of a user is deleted; 0 keeps it."""

    @property
    def remembers(self) -> bool:
        """Return whether the agent may write what callers ask it to remember."""
        return self.remember == ENABLED or (not self.remember and self.scope == USER_SCOPE)


@dataclass(frozen=True)
class Forgotten:
    """An item of `status.forgotten`: the answer to one request to forget a user."""

    request: str
    completed_at: float
    removed: int = 0
    problem: str = ""

    @classmethod
    def parse(cls, raw: JsonObject) -> "Forgotten":
        """Return the stored item as a value."""
        at = from_rfc3339(raw["completedAt"]) or 0.0
        return cls(raw["request"], at, raw.get("removed", 0), raw.get("problem", ""))

    def render(self) -> JsonObject:
        """Return the item as the API server stores it."""
        completed_at = to_rfc3339(self.completed_at)
        problem = {"problem": self.problem[:PROBLEM_CHARACTERS]} if self.problem else {}
        return {"request": self.request, "removed": self.removed, "completedAt": completed_at, **problem}


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
    forget_requests: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Requests to forget a user: id and user, from the annotations."""
    forgotten: tuple[Forgotten, ...] = ()

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
            forget_requests=tuple(
                (name.removeprefix(FORGET_USER_ANNOTATION), user)
                for name, user in sorted((meta.get("annotations") or {}).items())
                if name.startswith(FORGET_USER_ANNOTATION)
            ),
            forgotten=tuple(Forgotten.parse(item) for item in status.get("forgotten") or ()),
        )


def _letta(raw: JsonObject | None) -> LettaMemorySpec | None:
    if raw is None:
        return None
    return LettaMemorySpec(
        agent=raw.get("agent", ""),
        agent_id=raw.get("agentID", ""),
        blocks=tuple(raw.get("blocks", ())),
        capture=raw.get("capture", True),
        scope=raw.get("scope", USER_SCOPE),
        remember=raw.get("remember", ""),
        remember_block=raw.get("rememberBlock", REMEMBER_BLOCK),
        retention_days=raw.get("retentionDays", 0),
    )
