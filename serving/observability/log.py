"""What the server writes on standard error: text for people, or one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import logging

import grpc

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")


def configure(chosen: str, level: str) -> None:
    """Sets up logging for the process: one of FORMATS, from one of LEVELS upwards."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if chosen == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(is_news)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record is worth a line. grpc.aio calls it an error if a client goes before it has read its reply."""
    gone = (asyncio.CancelledError, grpc.aio.InternalError)
    return not (record.exc_info and isinstance(record.exc_info[1], gone))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
