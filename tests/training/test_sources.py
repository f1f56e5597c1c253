"""Every kind of data source, and every way in which one can be broken."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dcgan.training.data.dataset import Dataset, Wanted, decode
from dcgan.training.data.sources import open_source
from dcgan.training.errors import TrainingError


def load(source: Path | str, size: int = 32, channels: int = 3) -> Dataset:
    return decode(open_source(str(source)), Wanted(image_size=size, channels=channels), iter)


def png(pixels: np.ndarray, mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, format="PNG", **options)
    return buffer.getvalue()


def flat(level: int, width: int = 40, height: int = 40) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def huge_png(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def odd_tiff() -> bytes:
    """A TIFF that gives a text for the place of its pixels, at which Pillow raises a TypeError."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="TIFF")
    data, place = bytearray(buffer.getvalue()), struct.pack("<HH", 273, 4)
    data[data.index(place) : data.index(place) + 8] = struct.pack("<HHI", 273, 2, 1)
    return bytes(data)


def turned_jpeg(*tags: tuple[int, int, int, bytes]) -> bytes:
    """40 x 40, its left half blue and the right one red, with tags of EXIF: number, type, count and value."""
    entries = b"".join(struct.pack("<HHI", *head) + value for *head, value in tags)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    image, buffer = Image.new("RGB", (40, 40), "red"), io.BytesIO()
    image.paste("blue", (0, 0, 20, 40))
    image.save(buffer, format="JPEG", exif=exif)
    return buffer.getvalue()


TURN = (0x0112, 3, 1, struct.pack("<I", 6))  # the camera was turned by a quarter
TEXT = (0x011A, 2, 3, b"ab\0\0")  # a resolution that is no number: Pillow cannot write it again


@pytest.mark.parametrize(
    ("tags", "turned"),
    [
        ([TURN], True),
        ([TURN, TEXT], True),
        ([(0x0112, 2, 3, b"6a\0\0")], False),
        ([(0x0112, 3, 1, struct.pack("<I", 9))], False),
        ([(0x0112, 12, 1, b"\xff\xff\xff\xff")], False),
        ([], False),
    ],
)
def test_images_are_turned_upright_as_far_as_their_exif_can_be_read(tmp_path, tags, turned):
    (tmp_path / "a.jpg").write_bytes(turned_jpeg(*tags))
    (pixels,) = load(tmp_path).images
    blue = pixels[:12].mean(axis=(0, 1))[2] if turned else pixels[:, :12].mean(axis=(0, 1))[2]
    assert blue > 200


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_the_one_that_pillow_takes_it_for(tmp_path, orientation):
    corner = np.zeros((40, 40), dtype=np.uint8)
    corner[:20, :10] = 255
    image, exif = Image.fromarray(corner), Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "b.tif"):
        image.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as stored:
            expected = np.asarray(ImageOps.exif_transpose(stored).resize((20, 20)))
        found = load(tmp_path, 20, 1).images[-1, :, :, 0]
        assert np.array_equal(found > 127, expected > 127)


def test_a_photo_of_a_hundred_million_pixels_is_taken(tmp_path):
    Image.new("L", (10_000, 9_100), 77).save(tmp_path / "a.jpg")
    assert load(tmp_path).images.mean() == 77


def test_links_are_followed_but_not_round_and_broken_ones_are_counted(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data / "cats", elsewhere):
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(png(flat(1)))
    (data / "dogs").symlink_to(elsewhere)
    (data / "cats" / "b.png").symlink_to(elsewhere / "a.png")
    (elsewhere / "up").symlink_to(data)
    (data / "cats" / "gone.png").symlink_to(tmp_path / "nowhere")
    (data / "itself").symlink_to(data / "itself")
    source = open_source(str(data))
    assert source.items == ("cats/a.png", "cats/b.png", "dogs/a.png")
    assert source.class_names == ("cats", "dogs")
    assert source.skipped == 2


def test_a_list_of_labels_of_a_gigabyte_is_refused_unread(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    with (tmp_path / "dataset.json").open("wb") as file:
        file.truncate(2**30 + 1)  # without blocks on the disk
    with pytest.raises(TrainingError, match=r"dataset.json in .* has over 1 GiB"):
        open_source(str(tmp_path))


def test_digits_are_kept_at_their_own_size_with_a_margin():
    digits = load("digits", 32, 1)
    assert digits.images.shape == (1797, 10, 10, 1)
    assert digits.images.max() == 255
    assert digits.images[:, 0].max() == digits.images[:, :, -1].max() == 0  # the margin
    assert digits.class_names == tuple("0123456789")
    assert len(digits.labels) == 1797


def test_class_subfolders_are_labels(images):
    data = load(images)
    assert data.images.shape == (20, 32, 32, 3)
    assert data.class_names == ("cats", "dogs")
    assert data.labels.tolist() == [0] * 10 + [1] * 10
    assert data.name == images.name


def test_a_flat_folder_has_no_labels(tmp_path):
    (tmp_path / "b.png").write_bytes(png(flat(200)))
    (tmp_path / "a.JPG").write_bytes(png(flat(100)))
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    data = load(tmp_path)
    assert data.labels is None
    assert data.images[:, 0, 0, 0].tolist() == [100, 200]


def test_a_zip_with_labels(tmp_path):
    labels = {"labels": [["00/b.png", 1], ["00/a.png", 0]], "class_names": ["dark", "light"]}
    files = {
        "00/b.png": png(flat(200)),
        "00/a.png": png(flat(10)),
        "dataset.json": json.dumps(labels).encode(),
    }
    data = load(make_zip(tmp_path / "it.zip", files))
    assert data.images[:, 0, 0, 0].tolist() == [10, 200]
    assert data.labels.tolist() == [0, 1]
    assert data.class_names == ("dark", "light")
    assert data.name == "it.zip"


@pytest.mark.parametrize(
    "extra", [{}, {"dataset.json": b'{"labels": null}'}, {"dataset.json": b"[]"}]
)
def test_a_zip_without_labels_is_fine(tmp_path, extra):
    assert load(make_zip(tmp_path / "it.zip", {"a.png": png(flat(9))} | extra)).labels is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"labels": [["other.png", 0]]}', "no label for the image a.png"),
        (b'{"labels": [["a.png", -1]]}', "class -1, not 0 to"),
        (b'{"labels": [["a.png", 65536]]}', "class 65536, not 0 to"),
        (b'{"labels": [["a.png", "x"]]}', "class 'x', not 0 to"),
        (b'{"labels": [["a.png", true]]}', "class True, not 0 to"),
        (b'{"labels": [3]}', "pairs of an image and its class"),
        (b'{"labels": [["a.png", 2]], "class_names": ["one"]}', "only 1 class names"),
    ],
)
def test_broken_labels_are_named(tmp_path, table, message):
    path = make_zip(tmp_path / "it.zip", {"a.png": png(flat(9)), "dataset.json": table})
    with pytest.raises(TrainingError, match=message):
        load(path)


@pytest.mark.parametrize("name", ["none", "digit", "cifar100"])
def test_a_source_that_is_not_there(name):
    with pytest.raises(TrainingError, match="there is no data source"):
        open_source(name)


def test_empty_and_unreadable_sources(tmp_path):
    with pytest.raises(TrainingError, match="has no images"):
        open_source(str(tmp_path))
    with pytest.raises(TrainingError, match="has no images"):
        open_source(str(make_zip(tmp_path / "empty.zip", {"a.txt": b""})))
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(TrainingError, match="cannot read .*broken.zip as a zip"):
        open_source(str(tmp_path / "broken.zip"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no image", "cannot be decoded"),
        (b"", "cannot be decoded"),
        (png(flat(7))[:60], "cannot be decoded"),
        (huge_png(60_000, 60_000), "too many pixels; shrink it"),
        (huge_png(13_000, 12_000), "is 13000 x 12000 pixels; shrink it"),
        (odd_tiff(), "cannot be decoded .*interpreted as an integer"),
    ],
)
def test_a_corrupt_or_absurd_image_is_named(tmp_path, data, message):
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(TrainingError, match=f"bad.png in .*{message}"):
        load(tmp_path)


def test_a_png_of_four_gigabytes_is_refused_unread(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    with (tmp_path / "b.png").open("wb") as file:
        file.write(png(flat(7)))
        file.truncate(2**32)  # without blocks on the disk
    with pytest.raises(TrainingError, match="b.png has over 256 MiB; shrink it or take it out"):
        load(tmp_path)
    (tmp_path / "b.png").rename(tmp_path / "b\udcff.png")
    with pytest.raises(TrainingError, match=r"b\?.png has over 256 MiB"):
        load(tmp_path)


def test_an_entry_whose_checksum_is_wrong_is_named(tmp_path):
    data = png(flat(7))
    path = make_zip(tmp_path / "it.zip", {"a.png": data})
    path.write_bytes(path.read_bytes().replace(data, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]))
    with pytest.raises(TrainingError, match="a.png in it.zip cannot be decoded"):
        load(path)


def test_an_archive_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.png", "w") as entry,
    ):
        for _ in range(17):
            entry.write(bytes(2**24))
    with pytest.raises(TrainingError, match="a.png in .* over 256 MiB"):
        load(path)


def test_an_unpacked_zip_is_read_by_its_labels_and_not_by_its_folders(tmp_path):
    for i, bucket in enumerate(("00000", "00001")):
        (tmp_path / bucket).mkdir()
        (tmp_path / bucket / "img.png").write_bytes(png(flat(i)))
    (tmp_path / "dataset.json").write_text(
        '{"labels": [["00000/img.png", 4], ["00001/img.png", 4]]}'
    )
    assert load(tmp_path).labels.tolist() == [4, 4]


def test_what_is_no_image_is_counted_and_hidden_folders_are_left_out(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(1)))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "a.png").write_bytes(b"no image")
    source = open_source(str(tmp_path))
    assert source.items == ("a.png",)
    assert source.skipped == 2


def test_a_zip_with_two_files_of_one_name_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
            for level in (1, 2):
                archive.writestr("a.png", png(flat(level)))
    with pytest.raises(TrainingError, match="two files of one name"):
        load(tmp_path / "it.zip")


def test_an_image_that_is_labelled_twice_is_refused(tmp_path):
    table = b'{"labels": [["a.png", 0], ["a.png", 1]]}'
    with pytest.raises(TrainingError, match="names an image twice"):
        load(make_zip(tmp_path / "it.zip", {"a.png": png(flat(1)), "dataset.json": table}))


def test_an_encrypted_entry_is_named(tmp_path):
    path = make_zip(tmp_path / "it.zip", {"a.png": png(flat(7))})
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1  # the flag that says so, in both headers
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="a.png in it.zip cannot be decoded .*encrypted"):
        load(path)


def test_a_damaged_deflate_stream_is_named(tmp_path):
    path = tmp_path / "it.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", png(flat(7)))
    data = bytearray(path.read_bytes())
    start = data.index(b"a.png") + 5
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="a.png in it.zip cannot be decoded"):
        load(path)


def test_names_that_utf_8_cannot_hold_are_cleaned(tmp_path):
    for name in ("ok", "bad\udcff"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(png(flat(1)))
    assert load(tmp_path).class_names == ("bad?", "ok")


def test_a_path_that_is_too_long_is_one_sentence():
    with pytest.raises(TrainingError, match="File name too long"):
        open_source("x" * 5000)


def test_floating_point_images_are_refused_and_plain_integers_read_by_their_range(tmp_path):
    Image.fromarray(np.full((40, 40), 100, dtype=np.int32)).save(tmp_path / "a.tif")
    Image.fromarray(np.full((40, 40), 200 * 256, dtype=np.int32)).save(tmp_path / "b.tif")
    assert load(tmp_path).images.mean(axis=(1, 2, 3)).tolist() == [100, 200]
    Image.fromarray(np.full((40, 40), 0.5, dtype=np.float32)).save(tmp_path / "c.tif")
    with pytest.raises(TrainingError, match=r"c.tif .* floating-point"):
        load(tmp_path)


def test_sizes_and_modes_are_brought_together(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "a_wide.png").write_bytes(
        png(np.hstack([flat(0, 30, 60), flat(255, 60, 60), flat(0, 30, 60)]))
    )
    (tmp_path / "b_small.png").write_bytes(png(flat(50, 10, 10)))
    (tmp_path / "c_grey.png").write_bytes(png(flat(70), "L"))
    (tmp_path / "d_palette.png").write_bytes(png(flat(90), "P"))
    (tmp_path / "e_clear.png").write_bytes(png(np.zeros((40, 40, 4), dtype=np.uint8)))
    (tmp_path / "f_deep.png").write_bytes(png(np.full((40, 40), 0x6400, dtype=np.uint16)))
    Image.fromarray(random.integers(0, 256, (900, 800, 3), dtype=np.uint8)).save(
        tmp_path / "g_large.jpg"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load(tmp_path)
    assert data.images.shape == (7, 32, 32, 3)
    assert data.images[0].min() > 230  # the middle is white, the black sides are cut off
    levels = data.images[:6].mean(axis=(1, 2, 3))
    assert levels[1:6].tolist() == pytest.approx([50, 70, 90, 255, 100], abs=1)


def test_small_square_images_of_one_size_are_kept_and_mixed_ones_are_not(tmp_path):
    (tmp_path / "a.png").write_bytes(png(flat(1, 16, 16)))
    (tmp_path / "b.png").write_bytes(png(flat(2, 16, 16)))
    assert load(tmp_path).images.shape == (2, 16, 16, 3)
    (tmp_path / "c.png").write_bytes(png(flat(3, 17, 16)))
    assert load(tmp_path).images.shape == (3, 32, 32, 3)


def test_the_digest_names_images_and_labels(tmp_path):
    def digest(level: int, label: int) -> str:
        labels = json.dumps({"labels": [["a.png", label]]}).encode()
        return load(
            make_zip(tmp_path / "it.zip", {"a.png": png(flat(level)), "dataset.json": labels})
        ).sha256

    assert digest(1, 0) == digest(1, 0)
    assert len({digest(1, 0), digest(2, 0), digest(1, 1)}) == 3
