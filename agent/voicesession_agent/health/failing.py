"""ProviderFailing: turn after turn ends in an error of stt, llm or tts."""

from typing import Final

TURNS: Final = 3
"""In a row; a provider's own retries have failed in each of them."""
ROLES: Final = ("stt", "llm", "tts")


class Failures:
    """Counts, per role, errors that no retry mended; a success of that role begins anew."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(ROLES, 0)
        self._closed = ""

    def failed(self, kind: str) -> None:
        """`kind` is livekit-agents' type of error, e.g. `llm_error`; errors of other parts are no provider's."""
        role = _role(kind)
        if role in self._counts:
            self._counts[role] += 1

    def closed(self, kind: str) -> None:
        """The session has closed itself over an error: nobody will answer any more."""
        self._closed = _role(kind)

    def worked(self, *roles: str) -> None:
        self._counts.update(dict.fromkeys(roles, 0))

    @property
    def some(self) -> bool:
        """Whether a role has failed that has not worked since."""
        return bool(self._closed) or any(self._counts.values())

    def role(self) -> str:
        """The role that is failing, or nothing."""
        return self._closed or next((role for role, count in self._counts.items() if count >= TURNS), "")


def _role(kind: str) -> str:
    return kind.removesuffix("_error")
