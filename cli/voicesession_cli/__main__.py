"""Entry point of the commands `voicesession` and `kubectl voice`, which are the same."""

import sys
from collections.abc import Sequence
from typing import Final

from voicesession_cli import arguments as options
from voicesession_cli.arguments import parse, program
from voicesession_cli.completion import script
from voicesession_cli.errors import CommandError

INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and prints at most one line about what went wrong."""
    given = parse(argv)
    try:
        return run(given)
    except CommandError as error:
        print(f"{program()}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # or the interpreter complains once more when it flushes
        return 0


def run(given: options.Options) -> int:  # noqa: PLR0911 - one for each command
    """Do what was asked; returns the exit code. Raises CommandError. Each command loads only what it needs."""
    # ruff: noqa: PLC0415
    match given:
        case options.Completion():
            print(script(given.shell), end="")
            return 0
        case options.Ls():
            from voicesession_cli.commands.ls import ls

            return ls(given)
        case options.Describe():
            from voicesession_cli.commands.describe import describe

            return describe(given)
        case options.Logs():
            from voicesession_cli.commands.logs import logs

            return logs(given)
        case options.Reset() | options.End():
            from voicesession_cli.commands.reset import order

            return order(given)
        case options.DrainCheck():
            from voicesession_cli.commands.drain_check import drain_check

            return drain_check(given)
        case options.Doctor():
            from voicesession_cli.doctor.checks import doctor

            return doctor(given)
        case options.Talk():
            import asyncio

            from voicesession_cli.commands.talk import talk

            asyncio.run(talk(given))
            return 0
    raise AssertionError(given)


if __name__ == "__main__":
    sys.exit(main())
