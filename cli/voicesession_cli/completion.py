"""Shell completion, also within kubectl: argcomplete reads the parser and takes session names from the cluster."""

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
"""Directive of kubectl's completion protocol: offer no file names."""
SEPARATOR: Final = "\013"


def enable(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Answer and exit if a shell asks for completions; otherwise return the parser."""
    argcomplete.autocomplete(parser)
    return parser


def complete_with_sessions(argument: argparse.Action) -> None:
    """Complete an argument with the names of sessions."""
    argument.completer = _session_names  # type: ignore[attr-defined]  # argcomplete reads this attribute


def completion_script(shell: str) -> str:
    """Return the script that a shell sources."""
    return str(shellcode(list(PROGRAMS), shell=shell)) + "\n"


def kubectl_complete() -> int:
    """Run `kubectl_complete-voice`, which kubectl calls with the words after `kubectl voice`."""
    from voicesession_cli.arguments import parser  # noqa: PLC0415 - arguments imports this module

    *before, current = sys.argv[1:] or [""]
    line = " ".join(("kubectl-voice", *map(shlex.quote, before), current))
    with tempfile.NamedTemporaryFile("r") as answer:
        os.environ.update(_ARGCOMPLETE="1", COMP_LINE=line, COMP_POINT=str(len(line)), _ARGCOMPLETE_IFS=SEPARATOR)
        os.environ["_ARGCOMPLETE_STDOUT_FILENAME"] = answer.name
        argcomplete.autocomplete(parser(), exit_method=_do_not_exit)
        words = Path(answer.name).read_text().split(SEPARATOR)
    print(*(word.strip() for word in words if word.strip()), NO_FILES, sep="\n")
    return 0


def _do_not_exit(_: int = 0) -> None:
    """Return instead of exiting."""


def _session_names(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    from voicesession_cli.errors import CommandError  # noqa: PLC0415
    from voicesession_cli.kube_client import SESSIONS, KubeApi, path  # noqa: PLC0415 - loads the Kubernetes client

    try:
        api = KubeApi(parsed_args.context)
        sessions = api.items("voicesessions", path(SESSIONS, parsed_args.namespace or api.namespace))
    except CommandError:
        return []
    return [raw["metadata"]["name"] for raw in sessions]
