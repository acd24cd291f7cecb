"""One JSON object a line on standard output, for CloudWatch; figures and our own words, nothing that a client sent."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

LOGGER = "pathology.serving"


class JsonLines(logging.Formatter):
    """A record as one line. Of an exception its type and the frames it went through: its text may quote a request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry |= {"exception": record.exc_info[0].__name__, "frames": _frames(record.exc_info[2])}
        return json.dumps(entry, default=str)


def set_up(stream: TextIO | None = None) -> None:
    """Send every logger's lines there, uvicorn's too."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """One line; ``fields`` are figures, names from a fixed list, or lines that we wrote."""
    logging.getLogger(LOGGER).log(level, event, exc_info=error, extra={"fields": fields})


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
