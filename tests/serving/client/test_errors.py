"""The errors of the clients."""

from dcgan.core.errors import DcganError
from dcgan.serving.client import (
    BusyError,
    ClientError,
    DeadlineError,
    FaultError,
    RefusedError,
    UnreachableError,
)


def test_every_error_is_a_client_error_that_command_lines_show():
    for kind in (BusyError, DeadlineError, FaultError, RefusedError, UnreachableError):
        assert issubclass(kind, ClientError)
        assert issubclass(kind, DcganError)
