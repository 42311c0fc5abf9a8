"""What ends a command early: one line for the person at the terminal, and the exit code."""

from typing import Final

TROUBLE: Final = 1
USAGE: Final = 2


class CommandError(Exception):
    """Printed as `voicesession: MESSAGE`; `code` becomes the process's exit code."""

    def __init__(self, message: str, code: int = TROUBLE) -> None:
        super().__init__(message)
        self.code = code


class ObjectNotFoundError(CommandError):
    """What was asked for is not in the cluster."""


class BadRequestError(CommandError):
    """The API server understands it and cannot answer it: a container that has not begun has no log."""


class ForbiddenError(CommandError):
    """The person at the terminal may not do this."""


class GoneError(CommandError):
    """A watch began at a moment that the API server has forgotten."""
