"""The command line, parsed once into a value."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from voicesession_cli import completion as completing


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every command takes."""

    context: str | None
    json_output: bool


@dataclass(frozen=True, kw_only=True)
class Ls(Options):
    namespace: str | None
    all_namespaces: bool
    watch: bool


@dataclass(frozen=True, kw_only=True)
class OfSession(Options):
    """A command about one session; `namespace` None is that of the context."""

    session: str
    namespace: str | None


@dataclass(frozen=True, kw_only=True)
class Describe(OfSession):
    pass


@dataclass(frozen=True, kw_only=True)
class Logs(OfSession):
    follow: bool
    operator_namespace: str | None


@dataclass(frozen=True, kw_only=True)
class Order(OfSession):
    """`reset` and `end`."""

    wait: bool
    timeout: float


@dataclass(frozen=True, kw_only=True)
class Reset(Order):
    pass


@dataclass(frozen=True, kw_only=True)
class End(Order):
    pass


@dataclass(frozen=True, kw_only=True)
class DrainCheck(Options):
    node: str


@dataclass(frozen=True, kw_only=True)
class Doctor(Options):
    operator_namespace: str | None


@dataclass(frozen=True, kw_only=True)
class Completion(Options):
    shell: str


@dataclass(frozen=True, kw_only=True)
class Talk(OfSession):
    say: tuple[str, ...]
    wav: Path | None
    save: Path | None
    listen: bool
    identity: str
    name: str
    url: str | None
    linger: float
    ready_timeout: float
    reply_timeout: float


DAY_SECONDS: Final = 86400
DESCRIPTION: Final = "Look at live voice conversations, take part in them, and see what is wrong."
EXIT_CODES: Final = "Exit codes: 0 fine; 1 trouble was found, or something is not there; 2 wrong usage."
TALK_CODES: Final = "Exit codes: 0 every sentence was answered; 1 no reply, or the session is not Ready; 2 wrong usage."
PLUGIN: Final = "kubectl-voice"


def program() -> str:
    """How this program was called: as kubectl's plugin, or by its own name."""
    return "kubectl voice" if Path(sys.argv[0]).name == PLUGIN else "voicesession"


def parse(argv: Sequence[str] | None) -> Options:
    """Exits with code 2 and the usage text when the command line makes no sense."""
    given = completing.completed(parser()).parse_args(argv)
    made: type[Options] = given.made
    if made is Talk and not given.say and given.wav is None and not given.linger:
        given.complain("nothing to do: give --say TEXT or --wav FILE, or --linger SECONDS to only be in the room")
    values = {**vars(given), "json_output": given.output == "json"}
    if made is Talk:
        values["say"] = tuple(given.say)
    return made(**{field.name: values[field.name] for field in fields(made)})


def parser() -> argparse.ArgumentParser:
    """Every command of the program."""
    top = argparse.ArgumentParser(prog=program(), description=DESCRIPTION, epilog=EXIT_CODES)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _looking(commands)
    _ordering(commands)
    _operating(commands)
    talk = _command(commands, "talk", Talk, "join a session as a person, speak, print and time the replies")
    talk.description = "Join a VoiceSession over WebRTC as a human, speak, print what the agent says, and leave."
    talk.epilog = TALK_CODES
    talk.set_defaults(complain=talk.error)
    _session(talk)
    _who(talk)
    _what(talk)
    return top


def _command(commands: Any, name: str, made: type[Options], words: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words, epilog=EXIT_CODES)
    command.set_defaults(made=made)
    command.add_argument("--context", help="the kubeconfig's context (default: the current one)")
    command.add_argument("-o", "--output", choices=["text", "json"], default="text", help="json: for programs")
    return command


def _session(command: argparse.ArgumentParser) -> None:
    name = command.add_argument("session", metavar="SESSION", help="name of the VoiceSession")
    completing.with_sessions(name)
    command.add_argument("-n", "--namespace", help="its namespace (default: the current context's)")


def _looking(commands: Any) -> None:
    ls = _command(commands, "ls", Ls, "list sessions: who is there, since when, in which room and pod")
    ls.add_argument("-n", "--namespace", help="of this namespace (default: the current context's)")
    ls.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    ls.add_argument("-w", "--watch", action="store_true", help="stay, and show every change")
    describe = _command(commands, "describe", Describe, "tell the life of a session, with times and durations")
    _session(describe)
    logs = _command(commands, "logs", Logs, "print what agent and operator have logged of one session, in order")
    _session(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="stay until the session has finished")
    _installation(logs)


def _ordering(commands: Any) -> None:
    reset = _command(commands, "reset", Reset, "begin a conversation anew: a fresh agent in the same room")
    end = _command(commands, "end", End, "end a session now, politely")
    for command, what in ((reset, "the fresh agent is in the room"), (end, "it has finished")):
        _session(command)
        command.add_argument(
            "--wait", type=_yes_or_no, default=True, metavar="true|false", help=f"return when {what} (true)"
        )
        command.add_argument("--timeout", type=_seconds, default=60, metavar="SECONDS", help="wait this long (60)")


def _operating(commands: Any) -> None:
    drain = _command(
        commands,
        "drain-check",
        DrainCheck,
        "say which calls a node holds, or LiveKit for all of them; code 1 if calls would suffer",
    )
    drain.add_argument("node", metavar="NODE", help="name of the node")
    doctor = _command(commands, "doctor", Doctor, "check an installation; code 1 if anything is wrong")
    _installation(doctor)
    completion = _command(commands, "completion", Completion, "print the script that completes in a shell")
    completion.add_argument("shell", choices=completing.SHELLS)


def _installation(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--operator-namespace", metavar="NAMESPACE", help="where the operator is (default: it is looked for everywhere)"
    )


def _who(talk: argparse.ArgumentParser) -> None:
    talk.add_argument("--url", help="LiveKit's ws:// URL, if status.room.url cannot be reached from here")
    talk.add_argument("--identity", default="", help="participant identity (default: person- and random letters)")
    talk.add_argument("--name", default="Person", help="participant name")
    talk.add_argument("--ready-timeout", type=_seconds, default=90, metavar="SECONDS", help="wait for Ready (90)")


def _what(talk: argparse.ArgumentParser) -> None:
    speech = talk.add_mutually_exclusive_group()
    speech.add_argument("--say", action="append", default=[], metavar="TEXT", help="say this; repeat for more turns")
    speech.add_argument("--wav", type=Path, metavar="FILE", help="say what is in this 16-bit mono wav file")
    talk.add_argument("--save", type=Path, metavar="FILE", help="save the replies as a 16 kHz wav file")
    talk.add_argument("--listen", action="store_true", help="print what an independent recognizer hears (extra `ear`)")
    talk.add_argument("--linger", type=_seconds, default=0, metavar="SECONDS", help="stay in the room after speaking")
    talk.add_argument("--reply-timeout", type=_seconds, default=30, metavar="SECONDS", help="wait for a reply (30)")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= DAY_SECONDS:
        raise argparse.ArgumentTypeError("must be between 0 seconds and one day")
    return value


def _yes_or_no(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError("must be true or false")
    return text == "true"
