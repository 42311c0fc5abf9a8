"""Comparison of spoken words with transcripts, tolerant of spelling and of small recognition errors."""

import re
from difflib import SequenceMatcher

SPELLINGS = {"colour": "color", "favourite": "favorite", "1": "one", "66": "sixty six"}
CONTENT_LETTERS = 4
"""Words with fewer letters carry no content."""
SIMILAR_LETTERS = 5
"""Words with fewer letters have to match exactly: `know` and `now` are similar, and different."""
SIMILARITY = 0.8
"""Required ratio of SequenceMatcher: `tasks` and `task` have 0.89, `september` and `december` 0.71."""


def words(text: str) -> list[str]:
    """Return the lower-case words of a text without punctuation, in American spelling."""
    found = re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))
    return [part for word in found for part in SPELLINGS.get(word, word).split()]


def has_words(text: str, *keywords: str) -> bool:
    """Return whether the text contains every keyword, or a similar word in place of a long one."""
    found = set(words(text))
    return all(any(_is_similar(keyword, word) for word in found) for keyword in keywords)


def misheard(spoken: str, heard: str) -> bool:
    """Return whether the transcript is not empty and lacks a content word; an empty one is not misheard but unheard."""
    return bool(words(heard)) and not content(spoken) <= content(heard)


def content(text: str) -> set[str]:
    """Return the words that carry content."""
    return {word for word in words(text) if len(word) >= CONTENT_LETTERS}


def _is_similar(keyword: str, word: str) -> bool:
    if keyword == word:
        return True
    return len(keyword) >= SIMILAR_LETTERS and SequenceMatcher(None, keyword, word).ratio() >= SIMILARITY
