"""Text from outside on one line, without controls, markup or secrets."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcgan.core.errors import DcganError
from dcgan.core.text import (
    escape_unprintable,
    first_line,
    is_utf8,
    plain_markdown,
    printable,
    public_url,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, naïve, 漢字, 🙂", "plain, naïve, 漢字, 🙂"),
        ("a\nb\rc\td", "a\\u000ab\\u000dc\\u0009d"),
        ("\x1b[31mred\x9b0m", "\\u001b[31mred\\u009b0m"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("line\u2028separator", "line\\u2028separator"),
        ("lone \ud800 surrogate", "lone \\ud800 surrogate"),
        ("tag \U000e0001", "tag \\udb40\\udc01"),
        ("nul\0", "nul\\u0000"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str):
    assert printable(text) == shown


@pytest.mark.hostile(
    "Text from outside with terminal escapes, line breaks or characters that turn the "
    "direction of writing",
    "shown on one line, with such characters as `\\u001b`",
)
@given(st.text(), st.integers(10, 50))
def test_any_text_becomes_one_short_printable_line(text: str, limit: int):
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1


@given(st.text())
def test_a_json_document_stays_the_same_document(text: str):
    document = json.dumps({"text": text}, ensure_ascii=False, indent=2)
    assert json.loads(escape_unprintable(document, keep="\n")) == {"text": text}


def test_long_text_is_cut_with_a_mark():
    assert printable("x" * 300, 10) == "xxxxxxx..."
    assert printable("x" * 10, 10) == "x" * 10


@pytest.mark.hostile(
    "Text from a run with headings, links or HTML, for a model card",
    "shown as text, without its markup",
)
@pytest.mark.parametrize(
    "text", ["<script>", "# heading", "[link](http://x)", "**bold**", "a\n\n# b", "`code`", "a | b"]
)
def test_markdown_shows_text_as_it_is(text: str):
    shown = plain_markdown(text)
    assert "<" not in shown
    assert "\n" not in shown
    for mark in "#[]*`|":
        assert shown.count(mark) == shown.count(f"\\{mark}")


@pytest.mark.hostile(
    "Addresses with passwords, tokens and queries, in any message",
    "shown without them",
)
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8/a/b.tar", "http://host:8/a/b.tar"),
        ("https://user:secret@host/a", "https://host/a"),
        ("https://secret@host/a", "https://host/a"),
        ("https://user:se@cret@host/a", "https://host/a"),
        ("https://host/a?token=secret", "https://host/a?..."),
        ("https://host/a#secret", "https://host/a"),
        ("http://host/\x1b[31m", "http://host/\\u001b[31m"),
        ("http://[secret", "an address that is malformed"),
        ("/a/path.tar", "/a/path.tar"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, shown: str):
    assert public_url(url) == shown
    assert "secret" not in public_url(url)


def test_the_first_line_of_an_error_is_short_and_printable():
    assert first_line(ValueError("one\x1b\ntwo")) == "one\\u001b"
    assert first_line(ValueError("")) == "ValueError"
    assert len(first_line(ValueError("x" * 999))) == 200


def test_lone_surrogates_are_not_utf8():
    assert is_utf8("plain, naïve, 🙂")
    assert not is_utf8("caf\udce9")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("version 1" + "0" * 4000 + " is not 1", "version 10000000000000000000... is not 1"),
        (f"at most {2**128}", f"at most {2**128}"),
        ("a" * 300, "a" * 300),
    ],
)
def test_numbers_of_thousands_of_digits_are_cut_in_errors(text: str, shown: str):
    assert str(DcganError(text)) == shown
