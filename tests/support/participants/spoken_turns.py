"""Ten turns that offline speech recognition transcribes reliably, and a conversation of such turns."""

from collections.abc import Iterable

from tests.support.cluster.kubectl import Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.speaker import Answer, Speaker

Turn = tuple[str, tuple[str, ...]]
"""A sentence, and the keywords of its answer."""

QUESTION = "What do you know about this project?"
REMEMBER = "Remember that my favorite color is blue"
ASK = "What is my favorite color?"
TURNS: tuple[Turn, ...] = (
    ("My name is Alice and I live in Berlin", ("alice", "berlin")),
    (REMEMBER, ("blue",)),
    (ASK, ("blue",)),
    ("Test one", ("test", "one")),
    ("How many open tasks are left on the board", ("tasks", "board")),
    ("Can you hear me?", ("hear",)),
    ("Thank you, that is all for today", ("today",)),
    (QUESTION, ("room", "agent")),
    (ASK, ("blue",)),
    ("Test one", ("test", "one")),
)


def converse(livekit: LiveKit, session: Session, turns: Iterable[Turn], identity: str = "alice") -> list[Answer]:
    """Join, let a greeting end, speak every turn and leave; return the answers with independent transcripts."""
    with Speaker(livekit, session, identity) as speaker:
        speaker.join()
        speaker.wait_for_agent()
        speaker.wait_for_greeting()
        for sentence, keywords in turns:
            speaker.say(sentence, *keywords)
        speaker.leave()
        return speaker.transcribe()
