"""Errors that end a command early: one line for the terminal, and the exit code."""

from typing import Final

EXIT_PROBLEM: Final = 1
EXIT_USAGE: Final = 2


class CommandError(Exception):
    """Printed as `voicesession: MESSAGE`; `code` becomes the exit code of the process."""

    def __init__(self, message: str, code: int = EXIT_PROBLEM) -> None:
        super().__init__(message)
        self.code = code


class ObjectNotFoundError(CommandError):
    """The requested object is not in the cluster."""


class BadRequestError(CommandError):
    """The API server rejects the request, for example for the log of a container that has not started."""


class ForbiddenError(CommandError):
    """The user of the kubeconfig lacks the permission."""


class GoneError(CommandError):
    """The resource version at which a watch started has expired."""
