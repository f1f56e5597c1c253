"""The file of favourites: strict reading within bounds."""

import json
import os

import pytest

from dcgan.core.errors import DcganError
from dcgan.serving.cli.favourites import MAX_FAVOURITES, Favourite, read_favourites

ENTRY = {
    "model": "tiny",
    "version": 2,
    "seed": "7",
    "index": "3",
    "label": None,
    "truncation": 1,
}


@pytest.fixture
def read(tmp_path):
    """Reads favourites from the text or the entries of a file."""

    def read_back(content):
        if not isinstance(content, str | bytes):
            content = json.dumps({"schema_version": 1, "favourites": content})
        path = tmp_path / "favourites.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_favourites(path)

    return read_back


def test_favourites_are_read_in_order(read):
    largest = str(2**64 - 1)
    first, second = read([ENTRY, ENTRY | {"seed": largest, "label": 4, "truncation": 0.5}])
    assert first == Favourite(model="tiny", version=2, seed=7, index=3, label=None, truncation=1.0)
    assert (second.seed, second.label, second.truncation) == (2**64 - 1, 4, 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 7}, "seed must be text"),
        ({"seed": "-1"}, "seed must be text with a decimal number below 2^64, not '-1'"),
        ({"seed": str(2**64)}, "seed must be text with a decimal number below 2^64"),
        ({"index": "07"}, "index must be text with a decimal number below 2^64"),
        ({"index": "1" * 5000}, "index must be text with a decimal number below 2^64"),
        ({"model": ""}, "model must not be empty"),
        ({"version": 0}, "version must be 1 to 4294967295, not 0"),
        ({"version": "2"}, "version must be a whole number"),
        ({"version": 1.5}, "version must be a whole number"),
        ({"label": -1}, "label must be 0 to 4294967295, not -1"),
        ({"label": True}, "label must be a whole number"),
        ({"truncation": 0}, "truncation must be above 0 and at most 1, not 0"),
        ({"truncation": 1.5}, "truncation must be above 0 and at most 1, not 1.5"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(read, change, said):
    with pytest.raises(DcganError, match=r"favourites.json'.favourites\[1\]") as caught:
        read([ENTRY, ENTRY | change])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not valid JSON"),
        ("[1, 2]", "must be a table"),
        ('{"schema_version": 2, "favourites": []}', "schema version 2, not 1"),
        ('{"favourites": []}', "lacks the key 'schema_version'"),
        ('{"schema_version": 1, "schema_version": 1, "favourites": []}', "repeats a key"),
        ("[" * 100_000, "is not valid JSON"),
        (b"\xff\xfe", "is not encoded as UTF-8"),
        ([], "has no favourites"),
        ([ENTRY] * (MAX_FAVOURITES + 1), "4097 favourites, and 4096 are allowed"),
        (" " * (2**20 + 1), "is larger than 1048576 bytes"),
    ],
)
def test_another_document_is_refused_in_one_sentence(read, content, said):
    with pytest.raises(DcganError, match=said) as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "missing.json", tmp_path / "fifo"):
        with pytest.raises(DcganError, match="name another file for --from"):
            read_favourites(path)


@pytest.mark.hostile("Numbers of 4,000 digits in a file from outside", "20 digits are shown")
def test_a_number_of_4000_digits_is_not_shown_whole(read):
    for change in ({"version": 10**4000}, {"label": 10**4000}):
        with pytest.raises(DcganError, match=r"not 10000000000000000000\.\.\.$"):
            read([ENTRY | change])
