"""Logs on standard error: plain text, or one JSON object per line."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from dcgan.core.command_line import PrintableFormatter
from dcgan.core.text import escape_unprintable

FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")

_MAX_KINDS = 1000  # of records that are counted


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
    handler.addFilter(RepeatFilter())
    handler.setFormatter(_JsonFormatter() if config.format == "json" else text)
    logging.basicConfig(level=config.level.upper(), handlers=[handler], force=True)
    logging.getLogger("grpc._cython.cygrpc").addFilter(is_relevant)
    # Clients cause what uvicorn reports; the access log and the metrics contain it, too.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def is_relevant(record: logging.LogRecord) -> bool:
    """Returns whether a record of gRPC is worth a line: that a client left early is not."""
    client_left = (asyncio.CancelledError, grpc.aio.InternalError)
    return not (record.exc_info and isinstance(record.exc_info[1], client_left))


def format_json(level: str, logger: str, message: str, **fields: object) -> str:
    """Returns a line of the JSON log.

    Args:
        level: one of LEVELS.
        logger: name of the logger.
        message: text of the record.
        fields: other fields.
    """
    record = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "level": level,
        "logger": logger,
        "message": message,
    }
    return escape_unprintable(json.dumps(record | fields, ensure_ascii=False))


class RepeatFilter(logging.Filter):
    """Drops warnings and errors that repeat too often: clients can cause some at will.

    Args:
        burst: number of records of the same kind (logger and template) that pass in a window.
        window_s: length of a window.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        burst: int = 20,
        window_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._window_s = window_s
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], tuple[float, int]] = {}  # begin and count

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a record passes; the first of a window reports how many did not."""
        if record.levelno < logging.WARNING:  # e.g. an access log, which is complete or off
            return True

        key = (record.name, str(record.msg)[:100])
        now = self._clock()

        with self._lock:
            began, count = self._windows.get(key, (now, 0))
            dropped = 0
            if now - began >= self._window_s:
                dropped = max(0, count - self._burst)
                began = now
                count = 0
            if len(self._windows) >= _MAX_KINDS:
                self._windows.clear()
            self._windows[key] = (began, count + 1)

        if dropped:
            record.msg = f"{record.getMessage()} ({dropped} similar lines were dropped)"
            record.args = None
        return count < self._burst


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        level = record.levelname.lower()
        return format_json(level, record.name, record.getMessage(), **fields)
