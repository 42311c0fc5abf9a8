"""The conversation that an ending pod hands over to its replacement.

A custom image may send anything: malformed parts are left out, and the client limits the length of the whole answer.
"""

from typing import Final

from voicesession_common import JsonObject

SPEAKERS: Final = ("user", "assistant")
MESSAGES: Final = 40
PEOPLE: Final = 256
SUMMARY_CHARACTERS: Final = 2400
"""Bounds of the parts; a pod of the agent image keeps no more messages and no longer summary."""


def to_conversation(answer: JsonObject) -> JsonObject | None:
    """Return the conversation as a desired state has it; None if the answer has none."""
    greeted = [text for text in _items(answer.get("greeted")) if _is_text(text)][-PEOPLE:]
    history = [item for item in _items(answer.get("history")) if _is_message(item)][-MESSAGES:]
    summary = answer.get("summary")
    if not greeted and not history:
        return None
    return {
        "greeted": greeted,
        "history": history,
        "summary": summary[:SUMMARY_CHARACTERS] if isinstance(summary, str) and _is_text(summary) else "",
    }


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_message(item: object) -> bool:
    """Return True for [speaker, text]."""
    match item:
        case [str(role), str(text)] if role in SPEAKERS:
            return _is_text(text)
    return False


def _is_text(value: object) -> bool:
    """Return True for characters that UTF-8 can encode."""
    return isinstance(value, str) and value == value.encode(errors="replace").decode()
