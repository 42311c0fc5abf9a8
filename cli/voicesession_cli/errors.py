"""What ends a command early: one line for the person at the terminal, and the exit code."""

from typing import Final

NO_REPLY: Final = 1
USAGE: Final = 2


class CommandError(Exception):
    """Printed as `voicesession: MESSAGE`; `code` becomes the process's exit code."""

    def __init__(self, message: str, code: int = NO_REPLY) -> None:
        super().__init__(message)
        self.code = code
