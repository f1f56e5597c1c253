"""The format of the log, and what is left out of it."""

import asyncio
import json
import logging

import grpc
import pytest

from dcgan.serving.observability.log import is_relevant


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
