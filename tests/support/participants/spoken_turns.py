"""Ten turns that survive offline speech recognition, and a visit in which they are spoken."""

from collections.abc import Iterable

from tests.support.cluster.kubectl import Session
from tests.support.cluster.rooms import LiveKit
from tests.support.participants.speaker import Answer, Guest

Turn = tuple[str, tuple[str, ...]]
"""What is said, and what must be heard in the answer."""

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
    """Join, let a greeting end, speak every turn, leave; then the independent ear hears the answers."""
    with Guest(livekit, session, identity) as guest:
        guest.come()
        guest.meet()
        guest.greeted()
        for said, wanted in turns:
            guest.say(said, *wanted)
        guest.leave()
        return guest.listen()
