"""Entry point of the `voicesession` command."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from voicesession_cli.arguments import parse
from voicesession_cli.errors import CommandError

INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and prints at most one line about what went wrong."""
    options = parse(argv)
    from voicesession_cli.talk import talk  # noqa: PLC0415  usage errors answer without loading the media library

    try:
        asyncio.run(talk(options))
    except CommandError as error:
        print(f"voicesession: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
