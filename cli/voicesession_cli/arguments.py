"""The command line, parsed once into a value."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DAY_SECONDS: Final = 86400
EXIT_CODES: Final = "Exit codes: 0 every sentence was answered; 1 no reply, or the session is not Ready; 2 wrong usage."


@dataclass(frozen=True)
class Talk:
    """`voicesession talk`; all times are seconds."""

    session: str
    namespace: str | None
    context: str | None
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
    json_output: bool


def parse(argv: Sequence[str] | None) -> Talk:
    """Exits with code 2 and the usage text when the command line makes no sense."""
    parser, talk = _parser()
    given = parser.parse_args(argv)
    if not given.say and given.wav is None and not given.linger:
        talk.error("nothing to do: give --say TEXT or --wav FILE, or --linger SECONDS to only be in the room")
    return Talk(
        session=given.session,
        namespace=given.namespace,
        context=given.context,
        say=tuple(given.say),
        wav=given.wav,
        save=given.save,
        listen=given.listen,
        identity=given.identity,
        name=given.name,
        url=given.url,
        linger=given.linger,
        ready_timeout=given.ready_timeout,
        reply_timeout=given.reply_timeout,
        json_output=given.output == "json",
    )


def _parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(prog="voicesession", description="A headless person for a VoiceSession.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    talk = commands.add_parser(
        "talk",
        help="join a session as a person, speak, print and time the agent's replies",
        description="Join a VoiceSession over WebRTC as a human, speak, print what the agent says, and leave.",
        epilog=EXIT_CODES,
    )
    _where(talk)
    _what(talk)
    return parser, talk


def _where(talk: argparse.ArgumentParser) -> None:
    talk.add_argument("session", metavar="SESSION", help="name of the VoiceSession")
    talk.add_argument("-n", "--namespace", help="its namespace (default: the current context's)")
    talk.add_argument("--context", help="the kubeconfig's context (default: the current one)")
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
    talk.add_argument("-o", "--output", choices=["text", "json"], default="text", help="json: one object at the end")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= DAY_SECONDS:
        raise argparse.ArgumentTypeError("must be between 0 seconds and one day")
    return value
