import pytest

from dcgan.serving.http.errors import AddressNotFoundError, InvalidAddressError
from dcgan.serving.http.path import (
    FilePath,
    ModelPath,
    ModelsPath,
    ResourcePath,
    parse_path,
    read_seed,
    read_seed_pair,
)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", FilePath("/")),
        (b"/healthz", FilePath("/healthz")),
        (b"/static/a%2Fb", FilePath("/static/a/b")),
        (b"/v1/models", ModelsPath()),
        (b"/v1/models/tiny", ModelPath("tiny", None)),
        (b"/v1/models/tiny/2", ModelPath("tiny", 2)),
        (b"/v1/models/tiny/images/7.png", ResourcePath("tiny", None, "images", "7", "png")),
        (b"/v1/models/tiny/2/grids/7.webp", ResourcePath("tiny", 2, "grids", "7", "webp")),
        (b"/v1/models/tiny/2/walks/7-8.gif", ResourcePath("tiny", 2, "walks", "7-8", "gif")),
        (b"/v1/models/tiny/avatars/a.b.png", ResourcePath("tiny", None, "avatars", "a.b", "png")),
        (
            b"/v1/models/t/avatars/a%2F..%2Fb.png",
            ResourcePath("t", None, "avatars", "a/../b", "png"),
        ),
        (b"/v1/models/t/avatars/%00.png", ResourcePath("t", None, "avatars", "\0", "png")),
        (b"/v1/models/t/avatars/%C3%A4.png", ResourcePath("t", None, "avatars", "ä", "png")),
    ],
)
def test_an_address_names_one_thing(raw, path):
    assert parse_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        b"/v1/",
        b"/v1/model",
        b"/v1//models",
        b"/v1/models/",
        b"/v1/models//1",
        b"/v1/models//1/images/7.png",
        b"/v1/models//images/7.png",
        b"/v1/models/tiny/",
        b"/v1/models/tiny/faces/7.png",
        b"/v1/models/tiny/images",
        b"/v1/models/tiny/images/7",
        b"/v1/models/tiny/images/.png",
        b"/v1/models/tiny/images/7.jpg",
        b"/v1/models/tiny/images/7.PNG",
        b"/v1/models/tiny/grids/7.json",
        b"/v1/models/tiny/walks/7-8.png",
        b"/v1/models/tiny/images/../../secret.png",
        b"/v1/models/tiny/01/images/7.png",
    ],
)
def test_what_is_no_address_is_not_found(raw):
    with pytest.raises(AddressNotFoundError):
        parse_path(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"/%",
        b"/v1/models/%zz",
        b"/v1/models/t/avatars/%ff.png",
        b"/v1/models/t/avatars/%ED%A0%80.png",
        b"/v1/models/tiny/4294967296/images/7.png",
    ],
)
def test_what_cannot_be_decoded_is_invalid(raw):
    with pytest.raises(InvalidAddressError):
        parse_path(raw)


def test_a_path_at_a_version_is_parsed_again_to_the_same_resource():
    path = parse_path(b"/v1/models/t/avatars/a%2F%C3%A4%3F.png")
    assert isinstance(path, ResourcePath)
    again = parse_path(path.at_version(3).encode())
    assert again == ResourcePath("t", 3, "avatars", "a/ä?", "png")


@pytest.mark.parametrize(("text", "seed"), [("0", 0), ("7", 7), (str(2**64 - 1), 2**64 - 1)])
def test_seeds_are_64_bit_numbers(text, seed):
    assert read_seed(text) == seed


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", " 1", "1 ", "01", "1.0", "1e3", "0x7", "1_0", "٣", str(2**64), "9" * 999],
)
def test_what_is_no_seed_is_invalid(text):
    with pytest.raises(
        InvalidAddressError, match="a seed is a number from 0 to 18446744073709551615"
    ):
        read_seed(text)


def test_a_walk_is_named_by_two_seeds():
    assert read_seed_pair("7-8") == (7, 8)
    for text in ("7", "7-", "-7", "7-8-9", "7--8"):
        with pytest.raises(InvalidAddressError):
            read_seed_pair(text)
