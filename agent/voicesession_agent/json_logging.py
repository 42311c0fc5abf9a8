"""JSON log lines of the agent pod, without speech, tokens or secrets.

Libraries put what was said into their messages ("failed to synthesize speech: no audio for text: ...") and into those
of their errors, which quote prompts. A record is judged by the file that wrote it: a library's record keeps the
constant beginning of its message, a record of this package keeps its message, and both keep the types and frames of an
error without its text. A record of the user's own modules stays as they wrote it.
"""

import json
import logging
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

LOGGED_FIELDS: Final = frozenset(
    (
        *("event", "session", "room", "epoch", "launch", "sid", "at", "lived", "delay", "reason"),
        *("exitcode", "port", "limit", "job_id", "pid", "elapsed_time", "ms", "cause", "outcome", "state", "step"),
        *("tools", "turns", "callback", "programs"),
    )
)
"""Only these record attributes are logged: a library's own attributes may contain speech."""
LIBRARY_TEXT_FIELDS: Final = frozenset({"job_id", "room"})
"""The only attributes of a library's record that are logged if they are not numbers."""
LIBRARY_MESSAGE_LENGTH: Final = 120
"""Longest kept beginning of a library's message, in characters."""
ERROR_DEPTH: Final = 10
"""Most errors of one chain or group that are logged."""
ERROR_NUMBERS: Final = ("status_code", "errno")
"""Attributes of an error that are logged: the HTTP status of a provider's answer, and a system error's number."""
FRAMES: Final = 30
"""Most frames of one error that are logged, the innermost ones."""
_JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_QUOTED: Final = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"")
_PACKAGE: Final = str(Path(__file__).parent)
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class RedactingFilter:
    """Removes text from each record of a handler, as the module's docstring says. It may see a record twice.

    The top-level package of `entrypoint` (`package.module:function`, or empty) belongs to the user, also if installed.
    """

    def __init__(self, entrypoint: str = "") -> None:
        package = re.split("[.:]", entrypoint, maxsplit=1)[0]
        self._own = tuple(f"{root}/{package}{end}" for root in _LIBRARIES for end in ("/", ".py") if package)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; always return True."""
        if record.pathname.startswith(_PACKAGE):
            record.msg, record.args = _first_line(record.getMessage()), ()
            _keep_frames(record)
        elif record.pathname.startswith(_LIBRARIES) and not record.pathname.startswith(self._own):
            record.msg, record.args = _constant_part(str(record.msg)), ()
            for name in LOGGED_FIELDS - LIBRARY_TEXT_FIELDS:
                if not isinstance(vars(record).get(name, 0), int | float):
                    delattr(record, name)
            _keep_frames(record)
        return True


class AgentJsonFormatter(logging.Formatter):
    """Log formatter of one JSON object per record: message, allowed fields, and an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON line of a record."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
        }
        line.update({k: v for k, v in vars(record).items() if k in LOGGED_FIELDS})
        if record.exc_info or record.exc_text:
            line["error"] = _clean(record.exc_text or "".join(traceback.format_exception(*(record.exc_info or ()))))
        return json.dumps(line, default=str)


def configure_logging(level: str, entrypoint: str = "") -> None:
    """Write the records of every logger to standard output as JSON lines; libraries log from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(AgentJsonFormatter())
    handler.addFilter(RedactingFilter(entrypoint))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    known = logging.getLevelNamesMapping()
    logging.getLogger("voicesession_agent").setLevel(known.get(level, logging.INFO))


def redact_job_logs(entrypoint: str) -> None:
    """Remove text from the records of this job before livekit-agents hands them over to the supervisor.

    Afterwards an error is text, in which its frames and its message cannot be told apart.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(entrypoint))


def describe_error(error: BaseException) -> str:
    """Return the types, numbers and frames of an error and of its causes, the first cause first, without their text."""
    return "\n".join(line for one in reversed(list(_chain(error))) for line in _error_lines(one))


def _keep_frames(record: logging.LogRecord) -> None:
    """Replace the error of a record by its types and frames; a job's record has them already, as text."""
    if record.exc_info:
        error = record.exc_info[1]
        record.exc_text = None if error is None else describe_error(error)
    record.exc_info = record.stack_info = None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its causes and the members of groups; a chain may be a circle."""
    pending, seen = [error], list[BaseException]()
    while pending and len(seen) < ERROR_DEPTH:
        one = pending.pop(0)
        if any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        if isinstance(one, BaseExceptionGroup):
            pending.extend(one.exceptions)
        cause = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        pending.extend([cause] if cause else [])


def _error_lines(error: BaseException) -> Iterator[str]:
    numbers = [f" {name}={n}" for name in ERROR_NUMBERS if isinstance(n := getattr(error, name, None), int)]
    yield f"{type(error).__module__}.{type(error).__qualname__}{''.join(numbers)}"
    for frame, line in list(traceback.walk_tb(error.__traceback__))[-FRAMES:]:
        yield f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _constant_part(message: str) -> str:
    """Return the beginning of a library's message up to the first colon, without quoted text."""
    return _QUOTED.sub("<text>", _first_line(message).partition(":")[0])[:LIBRARY_MESSAGE_LENGTH]


def _first_line(message: str) -> str:
    """Return the first line: livekit-agents appends the text of an error to a job's message."""
    return message.partition("\n")[0]


def _clean(text: str) -> str:
    """Replace the JSON Web Tokens in a text."""
    return _JWT.sub("<jwt>", text)
