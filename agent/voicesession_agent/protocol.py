"""The protocol between the supervisor and its jobs: the job's id, the answers at the socket, and names of measurements.

`supervisor/job_server.py` is its server and `job/supervisor_client.py` its client. Health reports and turns, which
cross the same socket, are in `health/diagnosis.py` and `memory/backend.py`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from voicesession_agent.memory.backend import Block


def job_id(launch: int) -> str:
    """Return the job id for livekit-agents, the only field that reaches the process and that agents do not read."""
    return f"job-{launch}"


def launch_of(job: str) -> int:
    """Return the launch number of a job id. Raise ValueError for an id of another pod."""
    return int(job.removeprefix("job-"))


@dataclass(frozen=True)
class JobFacts:
    """The supervisor's answer to `GET /job`.

    `memory_hash` changes exactly when `blocks` change. `remembers` is true while memory accepts writes.
    """

    greeted: frozenset[str]
    memory_hash: str
    blocks: tuple[Block, ...]
    remembers: bool = False
    idle_seconds: float = 0.0
    admin_token: str = field(default="", repr=False)
    """Token for LiveKit's API in this room, as the operator sent it."""

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON; the limit of a block stays with the supervisor."""
        return {
            "greeted": sorted(self.greeted),
            "idleSeconds": self.idle_seconds,
            "adminToken": self.admin_token,
            "memory": {
                "hash": self.memory_hash,
                "blocks": [{"label": b.label, "value": b.value, "description": b.description} for b in self.blocks],
                "remembers": self.remembers,
            },
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Parse the answer; raise KeyError or TypeError for a missing or malformed field."""
        memory = raw["memory"]
        return cls(
            greeted=frozenset(raw["greeted"]),
            memory_hash=memory["hash"],
            blocks=tuple(Block(**block) for block in memory["blocks"]),
            remembers=memory["remembers"],
            idle_seconds=raw["idleSeconds"],
            admin_token=raw["adminToken"],
        )


BACKGROUND_SECONDS: Final = 4.0
"""Time in which an ending job leaves its room and ends its background work, besides the time of its callbacks."""


class Dismissal(StrEnum):
    """The way a job must end: leave the room, or yield to the next job. The answer to `GET /leave` has it as key."""

    LEAVE = "leave"
    RESET = "reset"


class Stage(StrEnum):
    """The stages from the end of a human's speech to the first audio of the answer, in order; also label values."""

    TRANSCRIPTION = "transcription"
    """Until the speech was recognized."""
    END_OF_TURN = "end_of_turn"
    """Until the turn was detected as finished."""
    HOOK = "hook"
    """The agent's own `on_user_turn_completed`; the assistant reads fresh memory in it."""
    LLM = "llm_first_token"
    TTS = "tts_first_audio"


RESPONSE = "response"
"""The whole response time: from the end of the human's speech to the first audio that left the job."""
