"""The protocol between the supervisor and its jobs: the job's id, the answers at the socket, and names of measurements.

`supervisor/job_server.py` is its server and `job/supervisor_client.py` its client. Health reports and turns, which
cross the same socket, are in `health/diagnosis.py` and `memory/backend.py`.
"""

from collections.abc import Sequence
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


HISTORY_MESSAGES: Final = 40
HISTORY_BYTES: Final = 16 * 1024
"""UTF-8 bytes of all texts: more than a context of 6,000 tokens holds."""
SUMMARY_CHARACTERS: Final = 2400
"""Longest summary of the older part of a conversation: about 150 words are asked for."""
SPEAKERS: Final = ("user", "assistant")


@dataclass(frozen=True)
class Message:
    """A message of the conversation; `role` is one of SPEAKERS."""

    role: str
    text: str = field(repr=False)

    def to_json(self) -> list[str]:
        """Return the message as JSON."""
        return [self.role, self.text]


def newest(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the newest messages within HISTORY_MESSAGES and HISTORY_BYTES, the oldest first.

    The end of a message that is too long is left out, and so is everything before it.
    """
    room = HISTORY_BYTES
    kept: list[Message] = []
    for message in reversed(messages[-HISTORY_MESSAGES:]):
        text = message.text.encode()
        if len(text) > room:
            kept += [Message(message.role, text[:room].decode(errors="ignore"))] if room else []
            break
        room -= len(text)
        kept.append(message)
    return tuple(reversed(kept))


def parse_history(raw: Any) -> tuple[Message, ...]:
    """Parse the messages of a job within the limits. Raise TypeError or ValueError for malformed ones."""
    messages = [Message(role, text) for role, text in raw]
    if not all(m.role in SPEAKERS and isinstance(m.text, str) for m in messages):
        raise ValueError("not messages of a conversation")
    return newest(messages)


@dataclass(frozen=True)
class Conversation:
    """A conversation for the job or pod that continues it.

    It has the greeted people, the newest messages, and the summary of earlier ones.
    """

    greeted: frozenset[str] = frozenset()
    history: tuple[Message, ...] = ()
    summary: str = field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the conversation as JSON."""
        history = [message.to_json() for message in self.history]
        return {"greeted": sorted(self.greeted), "history": history, "summary": self.summary}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Parse a conversation. Raise KeyError, TypeError or ValueError for a missing or malformed field."""
        greeted = raw["greeted"]
        if not isinstance(greeted, list) or not all(isinstance(identity, str) for identity in greeted):
            raise TypeError("greeted is a list of texts")
        return cls(frozenset(greeted), parse_history(raw["history"]), str(raw["summary"])[:SUMMARY_CHARACTERS])


@dataclass(frozen=True)
class JobFacts:
    """The supervisor's answer to `GET /job`.

    `memory_hash` changes exactly when `blocks` change. `remembers` is true while memory accepts writes, and `recalls`
    while earlier conversations can be searched. `history` has the newest messages of an earlier job of the same epoch,
    which ended without a reset, and `summary` the older part of that conversation.
    """

    greeted: frozenset[str]
    memory_hash: str
    blocks: tuple[Block, ...]
    remembers: bool = False
    idle_seconds: float = 0.0
    admin_token: str = field(default="", repr=False)
    """Token for LiveKit's API in this room, as the operator sent it."""
    history: tuple[Message, ...] = ()
    recalls: bool = False
    summary: str = field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON; the limit of a block stays with the supervisor."""
        return {
            "greeted": sorted(self.greeted),
            "idleSeconds": self.idle_seconds,
            "adminToken": self.admin_token,
            "history": [message.to_json() for message in self.history],
            "summary": self.summary,
            "memory": {
                "hash": self.memory_hash,
                "blocks": [{"label": b.label, "value": b.value, "description": b.description} for b in self.blocks],
                "remembers": self.remembers,
                "recalls": self.recalls,
            },
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Parse the answer; raise KeyError, TypeError or ValueError for a missing or malformed field."""
        memory = raw["memory"]
        return cls(
            greeted=frozenset(raw["greeted"]),
            memory_hash=memory["hash"],
            blocks=tuple(Block(**block) for block in memory["blocks"]),
            remembers=memory["remembers"],
            idle_seconds=raw["idleSeconds"],
            admin_token=raw["adminToken"],
            history=parse_history(raw["history"]),
            recalls=memory["recalls"],
            summary=str(raw["summary"]),
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
