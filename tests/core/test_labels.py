"""Labels by number and by name."""

import pytest

from dcgan.core.labels import describe_labels, find_label

NAMES = ("cat", "Dog", "1")


@pytest.mark.parametrize(
    ("text", "label"),
    [("0", 0), ("2", 2), ("1", 1), ("cat", 0), ("DOG", 1), ("3", None), ("-1", None), ("", None)],
)
def test_a_number_or_a_name_finds_the_label(text, label):
    assert find_label(text, 3, NAMES) == label


@pytest.mark.parametrize("text", ["00", "1" * 5000, "\u0661", " 1", "1.0"])
def test_other_spellings_of_numbers_are_not_labels(text):
    assert find_label(text, 3, ()) is None


def test_what_exists_is_described_and_bounded():
    assert describe_labels(3, NAMES) == "0 to 2 or one of cat, Dog, 1"
    assert describe_labels(10, ()) == "0 to 9"
    assert describe_labels(1000, [f"class-{i}" for i in range(1000)]).endswith("class-19, ...")


def test_names_of_strangers_are_described_without_controls_and_cut():
    shown = describe_labels(2, ["a\x1b[2J\nforged", "b" * 10_000])
    assert shown.isprintable()
    assert len(shown) < 600
