"""Judging what was heard: by words, since no recognizer writes a sentence twice the same way."""

import re

SPELLINGS = {"colour": "color", "favourite": "favorite", "1": "one", "66": "sixty six"}
DEFINITION_WORD = 4
"""Shorter words carry no content."""


def words(text: str) -> list[str]:
    """Lower-case words without punctuation, in American spelling."""
    found = re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))
    return [part for word in found for part in SPELLINGS.get(word, word).split()]


def has_words(text: str, *wanted: str) -> bool:
    """Whether every wanted word is in it."""
    return set(wanted) <= set(words(text))


def misheard(said: str, heard: str) -> bool:
    """Whether something was heard, and it lacks a word of what was said; who hears nothing at all is deaf."""
    return bool(words(heard)) and not content(said) <= content(heard)


def content(text: str) -> set[str]:
    """The words that say something."""
    return {word for word in words(text) if len(word) >= DEFINITION_WORD}
