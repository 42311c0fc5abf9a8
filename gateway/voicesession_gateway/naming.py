"""Names and labels that follow from who asks for what, so that asking twice leads to the same session."""

import hashlib
from dataclasses import dataclass
from typing import Final

LABEL_CHARACTERS: Final = 32
"""128 bits in hex: no two callers, users or conversations share a label."""
NAME_CHARACTERS: Final = 16
PREFIX: Final = "call-"


def label(*parts: str) -> str:
    """A label value: the start of the SHA-256 of the parts, each with its length, so that no two lists are alike."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:LABEL_CHARACTERS]


def session_name(conversation: str, number: int) -> str:
    """Of the `number`-th session of a conversation: `call-<16 hex>`, then `call-<16 hex>-2` and so on."""
    first = PREFIX + conversation[:NAME_CHARACTERS]
    return first if number == 1 else f"{first}-{number}"


def session_number(name: str, conversation: str) -> int:
    """Which session of that conversation bears this name; 0 for none of them."""
    first = session_name(conversation, 1)
    if name == first:
        return 1
    number = name.removeprefix(f"{first}-")
    return int(number) if name != number and number.isdecimal() else 0


@dataclass(frozen=True)
class Caller:
    """`identity` is unique over all ways to authenticate. `user` is empty where the caller may name users herself."""

    identity: str
    user: str = ""

    @property
    def label(self) -> str:
        return label(self.identity)

    def user_label(self, user: str) -> str:
        """Of one of the caller's users; two callers' users are strangers, whatever they are called."""
        return label(self.identity, user)


ANONYMOUS = Caller("anonymous")
