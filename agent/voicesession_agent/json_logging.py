"""JSON log lines of the agent pod, without speech, tokens or secrets."""

import json
import logging
import re
import sys
import traceback
from typing import Any, Final

LOGGED_FIELDS: Final = frozenset(
    (
        *("event", "session", "room", "epoch", "launch", "sid", "at", "lived", "delay", "reason"),
        *("exitcode", "port", "limit", "job_id", "pid", "elapsed_time", "ms", "cause", "outcome", "state", "step"),
        *("tools", "turns"),
    )
)
"""Only these record attributes are logged: a library's own attributes may contain speech."""
_JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class AgentJsonFormatter(logging.Formatter):
    """Log formatter of one JSON object per record: message, allowed fields, and an error's traceback."""

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


def _clean(text: str) -> str:
    """Replace the JSON Web Tokens in a text."""
    return _JWT.sub("<jwt>", text)


def configure_logging(level: str) -> None:
    """Write the records of every logger to standard output as JSON lines; libraries log from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(AgentJsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    known = logging.getLevelNamesMapping()
    logging.getLogger("voicesession_agent").setLevel(known.get(level, logging.INFO))
