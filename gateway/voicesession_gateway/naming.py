"""Deterministic names and labels: equal requests map to the same session."""

import hashlib
from dataclasses import dataclass
from typing import Final

LABEL_CHARACTERS: Final = 32
"""128 bits in hex, so that no two callers, users or conversations share a label."""
NAME_CHARACTERS: Final = 16
PREFIX: Final = "call-"


def hash_label(*parts: str) -> str:
    """Return a label value: the beginning of the SHA-256 of the parts.

    Each part is hashed with its length, so that different lists of parts have different labels.
    """
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:LABEL_CHARACTERS]


def session_name(conversation: str, number: int) -> str:
    """Return the name of a conversation's `number`-th session: `call-<16 hex>`, then `call-<16 hex>-2` and so on."""
    first = PREFIX + conversation[:NAME_CHARACTERS]
    return first if number == 1 else f"{first}-{number}"


def session_number(name: str, conversation: str) -> int:
    """Return the number of the session with this name in the conversation, or 0 if the name is not one of them."""
    first = session_name(conversation, 1)
    if name == first:
        return 1
    number = name.removeprefix(f"{first}-")
    return int(number) if name != number and number.isdecimal() else 0


@dataclass(frozen=True)
class Caller:
    """An authenticated client. `identity` is unique across all authentication modes.

    `user` is the only user that the caller may act for; if it is empty, requests may name any user.
    """

    identity: str
    user: str = ""

    @property
    def label(self) -> str:
        """Return the caller's label value."""
        return hash_label(self.identity)

    def user_label(self, user: str) -> str:
        """Return the label value of one of the caller's users; equal names under different callers differ."""
        return hash_label(self.identity, user)


ANONYMOUS = Caller("anonymous")
