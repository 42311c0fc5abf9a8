"""The command line, parsed into one dataclass per command."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from voicesession_common.api.constants import USER_CHARACTERS

from voicesession_cli import completion


@dataclass(frozen=True, kw_only=True)
class CommandArguments:
    """Arguments of every command."""

    context: str | None
    json_output: bool


@dataclass(frozen=True, kw_only=True)
class LsArguments(CommandArguments):
    namespace: str | None
    all_namespaces: bool
    watch: bool


@dataclass(frozen=True, kw_only=True)
class SessionArguments(CommandArguments):
    """Arguments of every command for one session; `namespace` None means the namespace of the context."""

    session: str
    namespace: str | None


@dataclass(frozen=True, kw_only=True)
class DescribeArguments(SessionArguments):
    pass


@dataclass(frozen=True, kw_only=True)
class LogsArguments(SessionArguments):
    follow: bool
    operator_namespace: str | None


@dataclass(frozen=True, kw_only=True)
class WaitArguments(SessionArguments):
    """Arguments of `reset` and `end`."""

    wait: bool
    timeout: float


@dataclass(frozen=True, kw_only=True)
class ResetArguments(WaitArguments):
    pass


@dataclass(frozen=True, kw_only=True)
class EndArguments(WaitArguments):
    pass


@dataclass(frozen=True, kw_only=True)
class ForgetArguments(CommandArguments):
    """Arguments of `forget`; `agent` None means every VoiceAgent of the namespace."""

    user: str
    agent: str | None
    namespace: str | None
    timeout: float


@dataclass(frozen=True, kw_only=True)
class DrainCheckArguments(CommandArguments):
    node: str


@dataclass(frozen=True, kw_only=True)
class DoctorArguments(CommandArguments):
    operator_namespace: str | None


@dataclass(frozen=True, kw_only=True)
class CompletionArguments(CommandArguments):
    shell: str


@dataclass(frozen=True, kw_only=True)
class TalkArguments(SessionArguments):
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
DESCRIPTION: Final = "Inspect live voice conversations, take part in them, and diagnose the installation."
EXIT_CODES: Final = "Exit codes: 0 success; 1 a problem was found, or an object does not exist; 2 wrong usage."
TALK_EXIT_CODES: Final = "Exit codes: 0 every sentence was answered; 1 no reply, or session not Ready; 2 wrong usage."
PLUGIN: Final = "kubectl-voice"


def program_name() -> str:
    """Return the name under which the program was started: as kubectl's plugin, or on its own."""
    return "kubectl voice" if Path(sys.argv[0]).name == PLUGIN else "voicesession"


def parse(argv: Sequence[str] | None) -> CommandArguments:
    """Parse the command line; exit with code 2 and the usage text if it is invalid."""
    parsed = completion.enable(parser()).parse_args(argv)
    arguments_type: type[CommandArguments] = parsed.arguments_type
    if arguments_type is TalkArguments and not parsed.say and parsed.wav is None and not parsed.linger:
        parsed.error("nothing to do: give --say TEXT or --wav FILE, or --linger SECONDS to stay silently in the room")
    values = {**vars(parsed), "json_output": parsed.output == "json"}
    if arguments_type is TalkArguments:
        values["say"] = tuple(parsed.say)
    return arguments_type(**{field.name: values[field.name] for field in fields(arguments_type)})


def parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    top = argparse.ArgumentParser(prog=program_name(), description=DESCRIPTION, epilog=EXIT_CODES)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_read_commands(commands)
    _add_write_commands(commands)
    _add_administration_commands(commands)
    talk = _add_command(commands, "talk", TalkArguments, "join a session as a human, speak, print and time the replies")
    talk.description = "Join a VoiceSession over WebRTC as a human, speak, print the replies of the agent, and leave."
    talk.epilog = TALK_EXIT_CODES
    talk.set_defaults(error=talk.error)
    _add_session(talk)
    _add_participant_options(talk)
    _add_speech_options(talk)
    return top


def _add_command(
    commands: Any, name: str, arguments_type: type[CommandArguments], description: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=description, description=description, epilog=EXIT_CODES
    )
    command.set_defaults(arguments_type=arguments_type)
    command.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    command.add_argument("-o", "--output", choices=["text", "json"], default="text", help="output format (text)")
    return command


def _add_session(command: argparse.ArgumentParser) -> None:
    name = command.add_argument("session", metavar="SESSION", help="name of the VoiceSession")
    completion.complete_with_sessions(name)
    command.add_argument("-n", "--namespace", help="its namespace (default: the namespace of the context)")


def _add_read_commands(commands: Any) -> None:
    ls = _add_command(commands, "ls", LsArguments, "list sessions with their humans, durations, rooms and pods")
    ls.add_argument("-n", "--namespace", help="list this namespace (default: the namespace of the context)")
    ls.add_argument("-A", "--all-namespaces", action="store_true", help="list all namespaces")
    ls.add_argument("-w", "--watch", action="store_true", help="keep running and show every change")
    describe = _add_command(
        commands, "describe", DescribeArguments, "show the timeline of a session with times and durations"
    )
    _add_session(describe)
    logs = _add_command(commands, "logs", LogsArguments, "print the agent and operator logs of one session in order")
    _add_session(logs)
    logs.add_argument("-f", "--follow", action="store_true", help="keep running until the session has finished")
    _add_operator_namespace(logs)


def _add_write_commands(commands: Any) -> None:
    reset = _add_command(
        commands, "reset", ResetArguments, "start the conversation again with a fresh agent in the same room"
    )
    end = _add_command(commands, "end", EndArguments, "end a session gracefully")
    for command, condition in (
        (reset, "until the fresh agent is in the room"),
        (end, "until the session has finished"),
    ):
        _add_session(command)
        command.add_argument(
            "--wait", type=_true_or_false, default=True, metavar="true|false", help=f"wait {condition} (true)"
        )
        command.add_argument("--timeout", type=_seconds, default=60, metavar="SECONDS", help="longest wait (60)")
    _add_forget(commands)


def _add_forget(commands: Any) -> None:
    forget = _add_command(
        commands,
        "forget",
        ForgetArguments,
        "delete everything that the memory of VoiceAgents holds about a user, who may have no live session",
    )
    forget.add_argument("user", type=_user, metavar="USER", help="the user, as in spec.user of the sessions")
    forget.add_argument("--agent", metavar="NAME", help="forget for this VoiceAgent (default: all of the namespace)")
    forget.add_argument("-n", "--namespace", help="its namespace (default: the namespace of the context)")
    forget.add_argument("--timeout", type=_seconds, default=60, metavar="SECONDS", help="longest wait (60)")


def _add_administration_commands(commands: Any) -> None:
    drain = _add_command(
        commands,
        "drain-check",
        DrainCheckArguments,
        "list the calls that draining a node would interrupt; exit code 1 if there are any",
    )
    drain.add_argument("node", metavar="NODE", help="name of the node")
    doctor = _add_command(commands, "doctor", DoctorArguments, "check an installation; exit code 1 if a check fails")
    _add_operator_namespace(doctor)
    script = _add_command(commands, "completion", CompletionArguments, "print the completion script of a shell")
    script.add_argument("shell", choices=completion.SHELLS)


def _add_operator_namespace(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--operator-namespace", metavar="NAMESPACE", help="namespace of the operator (default: search all namespaces)"
    )


def _add_participant_options(talk: argparse.ArgumentParser) -> None:
    talk.add_argument("--url", help="LiveKit's ws:// URL, if status.room.url is not reachable from this machine")
    talk.add_argument("--identity", default="", help="participant identity (default: person- and random letters)")
    talk.add_argument("--name", default="Person", help="participant name")
    talk.add_argument("--ready-timeout", type=_seconds, default=90, metavar="SECONDS", help="wait for Ready (90)")


def _add_speech_options(talk: argparse.ArgumentParser) -> None:
    speech = talk.add_mutually_exclusive_group()
    speech.add_argument("--say", action="append", default=[], metavar="TEXT", help="say this; repeat for more turns")
    speech.add_argument("--wav", type=Path, metavar="FILE", help="play this 16-bit mono wav file")
    talk.add_argument("--save", type=Path, metavar="FILE", help="save the replies as a 16 kHz wav file")
    talk.add_argument(
        "--listen",
        action="store_true",
        help="transcribe the replies with an independent recognizer (extra `speech-recognizer`)",
    )
    talk.add_argument("--linger", type=_seconds, default=0, metavar="SECONDS", help="stay in the room after speaking")
    talk.add_argument("--reply-timeout", type=_seconds, default=30, metavar="SECONDS", help="wait for a reply (30)")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= DAY_SECONDS:
        raise argparse.ArgumentTypeError("must be between 0 seconds and one day")
    return value


def _true_or_false(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError("must be true or false")
    return text == "true"


def _user(text: str) -> str:
    if not 0 < len(text) <= USER_CHARACTERS:
        raise argparse.ArgumentTypeError(f"must have 1 to {USER_CHARACTERS} characters")
    return text
