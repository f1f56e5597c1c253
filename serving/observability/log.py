"""Logs on standard error: text for people, or one JSON object per line."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass

import grpc

from dcgan.core.command_line import PrintableFormatter
from dcgan.core.text import escape_unprintable

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class LogConfig:
    """How a process writes its log.

    Attributes:
        format: one of FORMATS.
        level: one of LEVELS, the least severe that is written.
    """

    format: str = "text"
    level: str = "info"


def configure_logging(config: LogConfig) -> None:
    """Sets up logging for the process."""
    handler = logging.StreamHandler()
    text = PrintableFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if config.format == "json" else text)
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(is_relevant)


def is_relevant(record: logging.LogRecord) -> bool:
    """Returns whether a record of gRPC is worth a line: that a client left early is not."""
    client_left = (asyncio.CancelledError, grpc.aio.InternalError)
    return not (record.exc_info and isinstance(record.exc_info[1], client_left))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return escape_unprintable(json.dumps(fields, ensure_ascii=False))
