"""Structured logs: one JSON object per line, with a static message and variable fields.

Pass fields with `extra={...}`. Nothing is redacted here, so never pass secrets, tokens or transcripts.
"""

import json
import logging
import sys
from typing import Final

from voicesession_common.api.timestamps import to_rfc3339

NOISY_LIBRARIES: Final = ("asyncio", "kopf", "aiohttp", "livekit", "httpx", "httpcore", "letta_client", "kubernetes")
"""Libraries that are logged at WARNING and above only."""

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLogFormatter(logging.Formatter):
    """A formatter that renders a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with its extra fields as JSON."""
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
    """Log to standard output at `level` (a name such as `INFO`), and noisy libraries at WARNING."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLogFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
