"""Structured logs: one JSON object a line; the message is static, everything that varies is a field.

Fields are given with `extra={...}`. Nothing here redacts: secrets, tokens and transcripts are never passed in.
"""

import json
import logging
import sys
from typing import Final

from voicesession_common.api.timestamps import to_rfc3339

QUIET: Final = ("asyncio", "kopf", "aiohttp", "livekit", "httpx", "httpcore", "letta_client", "kubernetes")
"""Libraries whose own chatter is not ours to log."""

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": to_rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: value for name, value in record.__dict__.items() if name not in _STANDARD})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send everything to standard output at `level` (a name such as `INFO`), libraries at WARNING."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
