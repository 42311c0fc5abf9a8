"""Entry point of `voicesession` and `kubectl voice`, two names of the same program."""

import sys
from collections.abc import Sequence
from typing import Final

from voicesession_cli import arguments
from voicesession_cli.arguments import parse, program_name
from voicesession_cli.completion import completion_script
from voicesession_cli.errors import CommandError

EXIT_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; print at most one line about an error."""
    parsed = parse(argv)
    try:
        return run(parsed)
    except CommandError as error:
        print(f"{program_name()}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # otherwise the interpreter prints a second error when it flushes
        return 0


def run(parsed: arguments.CommandArguments) -> int:  # noqa: PLR0911 - one return per command
    """Run the command and return its exit code. Raises CommandError.

    Each command imports only the modules that it uses.
    """
    # ruff: noqa: PLC0415
    match parsed:
        case arguments.CompletionArguments():
            print(completion_script(parsed.shell), end="")
            return 0
        case arguments.LsArguments():
            from voicesession_cli.commands.ls import ls

            return ls(parsed)
        case arguments.DescribeArguments():
            from voicesession_cli.commands.describe import describe

            return describe(parsed)
        case arguments.LogsArguments():
            from voicesession_cli.commands.logs import logs

            return logs(parsed)
        case arguments.ResetArguments() | arguments.EndArguments():
            from voicesession_cli.commands.reset import reset_or_end

            return reset_or_end(parsed)
        case arguments.ForgetArguments():
            from voicesession_cli.commands.reset import forget

            return forget(parsed)
        case arguments.DrainCheckArguments():
            from voicesession_cli.commands.drain_check import drain_check

            return drain_check(parsed)
        case arguments.DoctorArguments():
            from voicesession_cli.doctor.checks import doctor

            return doctor(parsed)
        case arguments.TalkArguments():
            import asyncio

            from voicesession_cli.commands.talk import talk

            asyncio.run(talk(parsed))
            return 0
    raise AssertionError(parsed)


if __name__ == "__main__":
    sys.exit(main())
