"""The errors of the clients."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import grpc
import pytest

from dcgan.core.errors import DcganError
from dcgan.serving.client import (
    AccessDeniedError,
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)
from dcgan.serving.client.targets import parse_target


def test_every_error_is_a_client_error_that_command_lines_show():
    for kind in KINDS:
        assert issubclass(kind, ClientError)
        assert issubclass(kind, DcganError)


KINDS = (
    AccessDeniedError,
    BusyError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_a_copy_of_an_error_equals_it(kind, duplicate):
    error = kind("n must be 1 or more", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "n")
    twin = duplicate(error)
    assert type(twin) is kind
    assert (twin, hash(twin), str(twin)) == (error, hash(error), str(error))
    assert (twin.code, twin.reason, twin.field) == (error.code, error.reason, error.field)


def test_errors_that_differ_are_not_equal():
    error = BusyError("full", grpc.StatusCode.UNAVAILABLE, "LOADING")
    assert error != BusyError("full", grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert error != FaultError("full", grpc.StatusCode.UNAVAILABLE, "LOADING")
    assert error != "full"


def test_an_error_crosses_the_border_of_a_process_and_breaks_no_pool():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        for _ in range(2):
            with pytest.raises(UnreachableError) as caught:
                pool.submit(parse_target, "a:1,b").result(timeout=120)
            with pytest.raises(UnreachableError) as here:
                parse_target("a:1,b")
            assert caught.value == here.value
