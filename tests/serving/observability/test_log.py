"""The format of the log, and what is left out of it."""

import asyncio
import json
import logging

import grpc
import pytest

from dcgan.serving.observability.log import LogConfig, RepeatFilter, configure_logging, is_relevant


@pytest.mark.slow
def test_the_log_can_be_json(start_server, only):
    with start_server(only("tiny"), "--log-format", "json", noisy=True) as server:
        pass
    lines = [json.loads(line) for line in server.log[0].splitlines()]
    assert lines
    assert {(line["level"], line["logger"]) for line in lines} == {("info", "dcgan.serving.server")}


@pytest.mark.parametrize(
    ("error", "news"),
    [
        (asyncio.CancelledError(), False),
        (grpc.aio.InternalError(), False),
        (RuntimeError("odd"), True),
    ],
)
def test_a_client_that_goes_early_is_no_error_of_ours(error, news):
    record = logging.LogRecord(
        "grpc", logging.ERROR, __file__, 1, "odd", None, (type(error), error, None)
    )
    assert is_relevant(record) is news


def record(message: str) -> logging.LogRecord:
    return logging.LogRecord("dcgan", logging.ERROR, __file__, 1, "%s failed", (message,), None)


@pytest.mark.hostile("A client that repeats an error", "its log lines are rate-limited")
def test_what_clients_can_repeat_does_not_flood_the_log():
    now = 0.0
    repeats = RepeatFilter(burst=3, window_s=60.0, clock=lambda: now)
    assert [repeats.filter(record(str(i))) for i in range(10)] == [True] * 3 + [False] * 7
    other = logging.LogRecord("dcgan", logging.ERROR, __file__, 1, "other", None, None)
    assert repeats.filter(other)
    now = 61.0
    late = record("late")
    assert repeats.filter(late)
    assert late.getMessage() == "late failed (7 similar lines were dropped)"


def test_uvicorn_is_silent_once_the_process_has_configured_its_log(monkeypatch):
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)  # pytest keeps its handlers
    uvicorn = logging.getLogger("uvicorn.error")
    level = uvicorn.level
    try:
        configure_logging(LogConfig())
        assert not uvicorn.isEnabledFor(logging.ERROR)
    finally:
        uvicorn.setLevel(level)


def test_logs_of_every_call_are_complete():
    repeats = RepeatFilter(burst=1)
    call = logging.LogRecord("dcgan", logging.INFO, __file__, 1, "call", None, None)
    assert all(repeats.filter(call) for _ in range(10))
