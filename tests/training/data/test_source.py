"""Which files are images, and which decoders may read them."""

import io
import struct

import pytest
from PIL import Image, UnidentifiedImageError

from dcgan.training.data.source import (
    EXTENSIONS,
    is_ignored,
    is_image,
    open_image,
    other_types,
    source_key,
    to_utf8_text,
)


@pytest.mark.parametrize("name", ["a.png", "A.JPEG", "cats/b.jfif", "c.tar.tiff"])
def test_images_are_known_by_their_extension(name):
    assert is_image(name)


@pytest.mark.parametrize("name", ["a.txt", "png", "a.eps", "a.pdf", "a.svg", "dataset.json"])
def test_other_files_are_not_images(name):
    assert not is_image(name)


@pytest.mark.parametrize("name", [".a.png", ".git/a.png", "x/@eaDir/a.png", "__MACOSX/._a.png"])
def test_hidden_files_and_thumbnails_are_ignored(name):
    assert is_ignored(name)


@pytest.mark.parametrize("name", ["a.png", "thumbs/a.png", "eaDir/a.png", "x.y/a.png"])
def test_other_names_are_not_ignored(name):
    assert not is_ignored(name)


@pytest.mark.hostile(
    "Files in formats that are not on the list of decoders",
    "not decoded, whatever their names",
)
@pytest.mark.parametrize("format", ["EPS", "PDF", "ICO", "PCX", "SGI"])
def test_decoders_that_are_not_listed_do_not_read_anything(format):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, format=format)
    with pytest.raises(UnidentifiedImageError):
        open_image(io.BytesIO(buffer.getvalue()))


def test_every_extension_belongs_to_a_decoder_that_is_listed():
    Image.init()
    formats = {Image.registered_extensions().get(extension) for extension in EXTENSIONS}
    listed = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TGA", "TIFF"}
    assert formats - {None} <= listed | {"WEBP"}  # an MPO file is read as JPEG


def test_the_key_changes_with_every_entry():
    keys = {source_key(entries) for entries in ([], [("a", 1)], [("a", 2)], [("a", 1), ("b", 1)])}
    assert len(keys) == 4


def test_text_that_utf_8_cannot_hold_is_replaced():
    assert to_utf8_text("bad\udcff") == "bad?"


def test_types_of_other_files_are_counted():
    names = ["a.png", "b.HEIC", "c/d.heic", "notes.txt", "LICENSE", "@eaDir/x.txt", "e.x\udce9"]
    assert other_types(names[:5]) == "2 .heic, 1 .txt, 1 without extension"
    assert other_types(names[5:]) == "1 .x?"
    assert other_types(["a.png"]) == ""


@pytest.mark.hostile("A TIFF with millions of strips", "refused before they are read")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_big", [False, True])
def test_a_tiff_with_millions_of_strips_is_refused(order, is_big):
    mark = {"<": b"II", ">": b"MM"}[order]
    strips = 3 * 10**6
    if is_big:
        head = mark + struct.pack(f"{order}3HQ", 43, 8, 0, 16)
        table = struct.pack(f"{order}QHHQQ", 1, 273, 3, strips, 0)
    else:
        head = mark + struct.pack(f"{order}HI", 42, 8)
        table = struct.pack(f"{order}HHHIII", 1, 273, 3, strips, 0, 0)
    with pytest.raises(OSError, match="a tag of the TIFF has 3,000,000 values"):
        open_image(io.BytesIO(head + table))


@pytest.mark.hostile(
    "EXIF data of megabytes in the segments of a JPEG", "refused before they are joined"
)
@pytest.mark.parametrize("fill", [b"", b"\xff\xff", b"\x00junk", b"\xff\x00"])
def test_exif_data_of_megabytes_in_a_jpeg_are_refused(fill):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, format="JPEG")
    jpeg = buffer.getvalue()  # the first 20 bytes are its start and its JFIF header
    body = b"Exif\0\0" + bytes(60_000)
    segment = fill + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    with open_image(io.BytesIO(jpeg[:20] + segment + jpeg[20:])) as image:
        assert image.size == (4, 4)
    with pytest.raises(OSError, match="its EXIF data have over 1 MiB"):
        open_image(io.BytesIO(jpeg[:20] + 18 * segment + jpeg[20:]))
