"""Counts of words, pronouns, verbs and names over many files, with their limits.

The limits come from the measured style of kopf, procrastinate, structlog, httpx and dask-gateway, whose docstrings
have 0 to 1 of the counted pronouns per 1000 words.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_PRONOUNS = 3.0
"""Per 1000 words, as the next one."""
MOST_VAGUE_VERBS = 0.5
LEAST_VERB_SHARE = 0.60
MOST_PRONOUN_NAMES = 0.05
"""Share of the names of tests."""
MOST_FILES = 175

WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
PRONOUN = re.compile(r"\b(who|whom|whose|whoever|what|whatever|whichever)\b", re.IGNORECASE)
VAGUE_VERB = re.compile(r"\b(tell|tells|told|telling)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Text:
    """The prose of one file."""

    path: str
    prose: str

    @property
    def words(self) -> int:
        """The number of words."""
        return len(WORD.findall(self.prose))

    def count(self, pattern: re.Pattern[str]) -> int:
        """Return the number of matches of the pattern."""
        return len(pattern.findall(self.prose))


@dataclass
class Figures:
    """Counts over many files; texts are counted by kind, `code` or `documents`."""

    words: Counter[str] = field(default_factory=Counter)
    pronouns: Counter[str] = field(default_factory=Counter)
    vague_verbs: Counter[str] = field(default_factory=Counter)
    docstrings: int = 0
    verbs: int = 0
    tests: int = 0
    pronoun_names: int = 0
    private_words: int = 0
    files: int = 0

    def add_text(self, kind: str, text: Text) -> None:
        """Add the counts of one text."""
        self.words[kind] += text.words
        self.pronouns[kind] += text.count(PRONOUN)
        self.vague_verbs[kind] += text.count(VAGUE_VERB)

    def per_1000(self, counts: Counter[str], kind: str) -> float:
        """Return occurrences per 1000 words."""
        return 1000 * counts[kind] / max(self.words[kind], 1)

    def rows(self) -> Iterator[tuple[str, float, float, bool]]:
        """Yield label, value, limit, and whether the value is within the limit."""
        for kind in ("code", "documents"):
            for label, counts, limit in (
                ("who/what/whoever", self.pronouns, MOST_PRONOUNS),
                ("tell/told", self.vague_verbs, MOST_VAGUE_VERBS),
            ):
                value = self.per_1000(counts, kind)
                yield f"{label} per 1000 words of {kind}", value, limit, value <= limit
        share = self.verbs / self.docstrings if self.docstrings else 1.0
        label = "share of function docstrings that begin with a verb"
        yield label, share, LEAST_VERB_SHARE, share >= LEAST_VERB_SHARE
        share = self.pronoun_names / max(self.tests, 1)
        yield "share of test names with a pronoun", share, MOST_PRONOUN_NAMES, share <= MOST_PRONOUN_NAMES
        yield "Python files in the five packages", self.files, MOST_FILES, self.files <= MOST_FILES
        yield "private words in identifiers", self.private_words, 0, self.private_words == 0
