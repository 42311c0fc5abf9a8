"""What a job tells of its own health once a second."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Ailment(StrEnum):
    """What is wrong with a job: `health.state` of the control port, and the bounded label values of its metrics."""

    STUCK = "Stuck"
    DEAF = "Deaf"
    MUTE = "Mute"
    PROVIDER_FAILING = "ProviderFailing"
    DISCONNECTED = "Disconnected"


@dataclass(frozen=True)
class Vitals:
    """`unheard`, `inaudible` and `lost` in seconds (see the probes); `failing` names a role only: stt, llm or tts."""

    speaking: bool = False
    """Whether a human (as LiveKit hears it) or the agent is speaking right now."""
    unheard: float = 0.0
    inaudible: float = 0.0
    muted: bool = False
    lost: float = 0.0
    failing: str = ""
    failed: bool = False
    """Whether something failed in a turn and has not worked since: too little for `failing`, too much for health."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Vitals":
        """Raise KeyError, TypeError or ValueError when a field is missing or of no use."""
        return cls(
            speaking=bool(raw["speaking"]),
            unheard=float(raw["unheard"]),
            inaudible=float(raw["inaudible"]),
            muted=bool(raw["muted"]),
            lost=float(raw["lost"]),
            failing=str(raw["failing"]),
            failed=bool(raw["failed"]),
        )
