import time

import pytest

from dcgan.serving.http.errors import InvalidRequestError
from dcgan.serving.http.request import read_deadline, read_headers, read_request_id


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [("250m", 0.25), ("5S", 5), ("1M", 60), ("1H", 3600), ("99999999u", 99.999999)],
)
def test_grpc_timeout_is_the_deadline(timeout, seconds):
    began = time.monotonic()
    deadline = read_deadline(timeout, 30)
    assert began + seconds - 1e-6 < deadline < time.monotonic() + seconds + 1e-6


def test_without_it_there_is_a_default():
    began = time.monotonic()
    deadline = read_deadline(None, 30)
    assert began + 30 <= deadline <= time.monotonic() + 30


@pytest.mark.parametrize("timeout", ["", "5", "S", "-1S", "1.5S", "999999999S", "5s", "5S, 5S"])
def test_a_malformed_timeout_is_refused(timeout):
    with pytest.raises(InvalidRequestError, match="e.g. 250m"):
        read_deadline(timeout, 30)


def test_a_request_id_is_kept_if_it_is_usable():
    assert read_request_id("a-1.b_2") == "a-1.b_2"
    for value in (None, "", "a b", "a\nb", "ä", "x" * 65):
        assert len(read_request_id(value)) == 32


def test_repeated_header_fields_are_joined():
    assert read_headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]) == {"a": "1, 3", "b": "2"}
