"""Labels from dataset.json and from class folders."""

import json

import pytest

from dcgan.training.data.labels import label_by_folder, max_labels_bytes, parse_labels, too_large

ITEMS = ("a.png", "b.png")


def parse(table: object):
    return parse_labels(json.dumps(table).encode(), "dataset.json in it.zip", ITEMS)


def pairs(a: object, b: object) -> dict[str, object]:
    return {"labels": [["a.png", a], ["b.png", b]]}


@pytest.mark.parametrize(
    ("a", "b"), [(3, 1), (3.0, 1.0), ([0, 0, 0, 1], [0, 1, 0, 0]), ([0.0, 0, 0, 1.0], 1)]
)
def test_whole_numbers_and_one_hot_vectors_are_classes(a, b):
    found = parse(pairs(a, b))
    assert (found.labels, found.problem) == ((3, 1), None)


def test_class_names_are_kept():
    found = parse(pairs(0, 1) | {"class_names": ["dark", "light"]})
    assert found.class_names == ("dark", "light")


@pytest.mark.parametrize("table", [{}, [], {"labels": None}, {"labels": []}, 3])
def test_no_labels_are_no_problem(table):
    assert (parse(table).labels, parse(table).problem) == (None, None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"1" * 5000, "not valid JSON: a number in it has thousands of digits; fix"),
        (b'{"labels": [["other.png", 0]]}', "no label for the image a.png"),
        (b'{"labels": [["a.jpg", 0], ["b.jpg", 0]]}', "no label for the image a.png"),
        (b'{"labels": [3]}', "pairs of an image and its class"),
        (b'{"labels": 3}', "pairs of an image and its class"),
        (b'{"labels": [["a.png", 0], ["b.png", 0], ["a.png", 1]]}', "names an image twice"),
    ],
)
def test_a_broken_table_is_a_problem_that_is_named(data, message):
    found = parse_labels(data, "dataset.json in it.zip", ITEMS)
    assert found.labels is None
    assert message in found.problem
    assert len(found.problem) < 400


@pytest.mark.parametrize(
    "label", [-1, 65536, "x", True, 0.5, float("nan"), [1, 1], [0.5, 0.5], [], [True], None, {}]
)
def test_any_other_label_is_a_problem_that_names_the_image(label):
    found = parse(pairs(0, label))
    assert found.labels is None
    assert f"gives the image b.png the class {label!r}, not 0 to 65535" in found.problem


def test_a_class_without_a_name_is_a_problem():
    found = parse(pairs(0, 2) | {"class_names": ["one"]})
    assert "has the class 2 but only 1 class names" in found.problem


def test_a_file_that_is_too_large_for_its_images_is_a_problem():
    """60 million lists take 180 MB as text and 5 GB in memory."""
    assert too_large(180 * 10**6, "dataset.json", 2).problem.startswith("dataset.json has 172 MiB")
    assert too_large(50_000 * 5_000, "dataset.json", 50_000) is None  # one-hot, 1,000 classes
    assert too_large(max_labels_bytes(2), "dataset.json", 2) is None


def test_the_first_folder_is_the_class():
    found = label_by_folder(("cats/1/a.png", "dogs/b.png", "cats/c.png"))
    assert (found.labels, found.class_names) == ((0, 1, 0), ("cats", "dogs"))


@pytest.mark.parametrize("items", [("a.png", "b.png"), ("cats/a.png",), ("cats/a.png", "b.png")])
def test_a_single_folder_is_no_class(items):
    found = label_by_folder(items)
    assert (found.labels, found.problem) == (None, None)


def test_an_image_outside_the_class_folders_is_named():
    found = label_by_folder(("cats/a.png", "dogs/b.png", "stray.png"))
    assert found.labels is None
    assert "the image stray.png is outside the 2 class folders; move it" in found.problem


@pytest.mark.hostile(
    "Class names of a megabyte, or that are no text, in dataset.json", "the labels are not used"
)
@pytest.mark.parametrize(
    "names", [["x" * 257, "y"], [[[]], {}], {"a": 1, "b": 2}, "ab", 5, [None, 1]]
)
def test_class_names_that_are_none_are_a_problem(names):
    found = parse(pairs(0, 1) | {"class_names": names})
    assert found.labels is None
    assert "list of class names of at most 256 characters" in found.problem


def test_class_folders_with_names_of_a_zip_are_bounded():
    found = label_by_folder([f"{'x' * 300}/a.png", "y/b.png"])
    assert found.labels is None
    assert "over 256 characters" in found.problem
