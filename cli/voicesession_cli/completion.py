"""Completion in shells, and in kubectl's own: argcomplete asks the parser, and the cluster for names of sessions."""

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import argcomplete
from argcomplete.shell_integration import shellcode

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAMS: Final = ("voicesession", "kubectl-voice")
NO_FILES: Final = ":4"
"""The directive of kubectl's completion protocol that means: offer no file names."""
SEPARATOR: Final = "\013"


def completed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Answer and exit where a shell asks for completions; otherwise the parser, to go on with."""
    argcomplete.autocomplete(parser)
    return parser


def with_sessions(argument: argparse.Action) -> None:
    """Let an argument be completed with the names of sessions."""
    argument.completer = _sessions  # type: ignore[attr-defined]  # argcomplete looks for it there


def script(shell: str) -> str:
    """What a shell has to source."""
    return str(shellcode(list(PROGRAMS), shell=shell)) + "\n"


def kubectl_complete() -> int:
    """Entry point of `kubectl_complete-voice`, that kubectl runs with the words after `kubectl voice`."""
    from voicesession_cli.arguments import parser  # noqa: PLC0415 - the parser's own module needs this one

    *before, current = sys.argv[1:] or [""]
    line = " ".join(("kubectl-voice", *map(shlex.quote, before), current))
    with tempfile.NamedTemporaryFile("r") as answer:
        os.environ.update(_ARGCOMPLETE="1", COMP_LINE=line, COMP_POINT=str(len(line)), _ARGCOMPLETE_IFS=SEPARATOR)
        os.environ["_ARGCOMPLETE_STDOUT_FILENAME"] = answer.name
        argcomplete.autocomplete(parser(), exit_method=_stay)
        found = Path(answer.name).read_text().split(SEPARATOR)
    print(*(word.strip() for word in found if word.strip()), NO_FILES, sep="\n")
    return 0


def _stay(_: int = 0) -> None:
    """In the place of exiting."""


def _sessions(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    from voicesession_cli.errors import CommandError  # noqa: PLC0415
    from voicesession_cli.kube_client import SESSIONS, Api, path  # noqa: PLC0415 - loads Kubernetes' client

    try:
        api = Api(parsed_args.context)
        found = api.items("voicesessions", path(SESSIONS, parsed_args.namespace or api.namespace))
    except CommandError:
        return []
    return [raw["metadata"]["name"] for raw in found]
