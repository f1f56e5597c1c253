"""Pairs of servers, and an address without one."""

from contextlib import ExitStack

import pytest


@pytest.fixture
def mortal_pair(start_server, only):
    """Two servers, of which the second may be brought to its end."""
    with start_server(only("tiny")) as first, ExitStack() as stack:
        second = stack.enter_context(start_server(only("tiny")))
        yield first, second
        if second.process.poll() not in (None, 0):
            with pytest.raises(AssertionError):  # it did not end as it should, for it was killed
                stack.close()
