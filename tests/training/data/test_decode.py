"""Decoding of images."""

import json
import struct
import subprocess
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from dcgan.training.errors import TrainingError
from tests.training.data.image_files import (
    TEXT,
    TURN,
    flat,
    huge_png,
    load,
    make_zip,
    odd_tiff,
    png,
    turned_jpeg,
)


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


@pytest.mark.hostile(
    "Damaged images, and PNG of 2^27 x 1 pixels",
    "named, or left out with `--skip-corrupt`",
)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no image", r"cannot be decoded \(it is in no known image format\)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no known image format"),
        (huge_png(2**27, 1), "is 134217728 x 1 pixels; shrink or remove it"),
        (b"", "cannot be decoded"),
        (png(flat(7))[:60], "cannot be decoded"),
        (huge_png(60_000, 60_000), "too many pixels; shrink or remove it"),
        (huge_png(13_000, 12_000), "is 13000 x 12000 pixels; shrink or remove it"),
        (odd_tiff(), "cannot be decoded .*interpreted as an integer"),
    ],
)
def test_a_corrupt_or_absurd_image_is_named(tmp_path, data, message):
    (tmp_path / "a.png").write_bytes(png(flat(7)))
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(TrainingError, match=f"bad.png in .*{message}"):
        load(tmp_path)


@pytest.mark.hostile(
    "Small images that take hours: endless comments, millions of chunks, thousands of JPEG scans",
    "named, or left out with `--skip-corrupt`, after 60 s of processor time",
)
@pytest.mark.parametrize("container", ["folder", "zip"])
def test_an_image_that_takes_too_long_is_named_and_can_be_left_out(
    tmp_path, monkeypatch, container
):
    monkeypatch.setattr("dcgan.training.data.source._MAX_DECODE_S", 0.2)
    # Pillow reads comments byte by byte.
    files = {"a.png": png(flat(7)), "slow.ppm": b"P6\n#" + bytes(2**23) + b"\n4 4\n255\n"}
    source = make_zip(tmp_path / "it.zip", files)
    if container == "folder":
        source = tmp_path / "folder"
        source.mkdir()
        for name, data in files.items():
            (source / name).write_bytes(data)

    with pytest.raises(TrainingError, match=r"slow.ppm in .* \(decoding takes over 0.2 s\)"):
        load(source)
    assert load(source, skip_corrupt=True).images.mean() == 7


def test_floating_point_images_are_refused_and_plain_integers_read_by_their_range(tmp_path):
    Image.fromarray(np.full((40, 40), 100, dtype=np.int32)).save(tmp_path / "a.tif")
    assert load(tmp_path).images.mean() == 100
    Image.fromarray(np.full((40, 40), 200 * 256, dtype=np.int32)).save(tmp_path / "b.tif")
    assert load(tmp_path).images.mean(axis=(1, 2, 3)).tolist() == [0, 200]
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


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.PGM", "PPM"),
        ("a.tga", "TGA"),
        ("a.jp2", "JPEG2000"),
        ("a.avif", "AVIF"),
        ("a.qoi", "QOI"),
        ("a.webp", "WEBP"),
        ("a.jpg", "PNG"),  # the content decides, not the extension
    ],
)
def test_every_common_format_is_read(tmp_path, name, format):
    mode = "L" if format == "PPM" else "RGB"
    Image.new(mode, (40, 40), 128 if mode == "L" else (128, 128, 128)).save(
        tmp_path / name, format=format
    )
    assert load(tmp_path).images.mean() == pytest.approx(128, abs=2)


@pytest.mark.hostile(
    "`cat.png` that is PostScript, for which Pillow would start Ghostscript",
    "refused; no program is started",
)
def test_no_decoder_starts_a_program(tmp_path, monkeypatch):
    """Pillow's decoder of EPS calls Ghostscript, whatever the name of the file is."""
    calls = []
    monkeypatch.setattr(subprocess, "check_call", lambda *command, **_: calls.append(command))
    Image.new("RGB", (40, 40), "red").save(tmp_path / "cat.eps")
    (tmp_path / "cat.eps").rename(tmp_path / "cat.png")
    with pytest.raises(TrainingError, match="no known image format"):
        load(tmp_path)
    assert calls == []


@pytest.mark.parametrize(("bits", "level"), [(10, 2**9), (12, 2**11), (14, 2**13), (16, 2**15)])
def test_deep_grey_images_are_scaled_by_the_bits_that_they_use(tmp_path, bits, level):
    deep = np.full((40, 40), level, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    Image.fromarray(deep // 2).save(tmp_path / "b.png")  # darker, and scaled alike
    data = load(tmp_path)
    assert data.images.mean(axis=(1, 2, 3)).tolist() == [128, 64]
    told = [f"the 16-bit images in {tmp_path.name} use {bits} bits only; they are scaled by those"]
    assert list(data.notes) == (told if bits < 16 else [])


def display_p3() -> bytes:
    """An ICC profile with the primaries of Display P3, made from Pillow's of sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    tags = {bytes(profile[i : i + 4]): i for i in range(132, 132 + 12 * profile[131], 12)}

    for name, values in primaries.items():
        (place,) = struct.unpack(">I", profile[tags[name] + 4 : tags[name] + 8])
        fixed = [round(value * 65536) for value in values]
        profile[place + 8 : place + 20] = struct.pack(">3i", *fixed)
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "P3P3".encode("utf-16-be"))


@pytest.mark.parametrize("channels", [3, 1])
def test_color_profiles_are_converted_to_srgb(tmp_path, channels):
    for name, profile in (("a.png", None), ("b.png", display_p3())):
        Image.new("RGB", (40, 40), (200, 60, 60)).save(tmp_path / name, icc_profile=profile)
    plain, converted = load(tmp_path, channels=channels).images[:, 0, 0].astype(int)
    if channels == 3:
        assert plain.tolist() == [200, 60, 60]
        assert converted[0] - plain[0] > 10  # P3 holds stronger reds
        assert converted[1] < plain[1]
    else:
        assert plain.shape == converted.shape == (1,)


@pytest.mark.hostile("A damaged color profile", "ignored")
def test_a_damaged_color_profile_is_ignored(tmp_path):
    Image.new("RGB", (40, 40), (200, 60, 60)).save(tmp_path / "a.png", icc_profile=b"no profile")
    assert load(tmp_path).images[0, 0, 0].tolist() == [200, 60, 60]


@pytest.mark.hostile("Images in no known format", "named, without a memory address")
def test_messages_hold_no_memory_addresses(tmp_path):
    path = make_zip(tmp_path / "it.zip", {"a.png": b"no image"})
    with pytest.raises(TrainingError) as caught:
        load(path)
    assert "0x" not in str(caught.value)


def test_the_background_is_part_of_the_data_where_images_are_transparent(tmp_path):
    (tmp_path / "a.png").write_bytes(png(np.zeros((40, 40, 4), dtype=np.uint8)))
    (tmp_path / "b.png").write_bytes(png(flat(50)))
    white, black = load(tmp_path), load(tmp_path, background="black")
    assert [int(data.images[0].max()) for data in (white, black)] == [255, 0]
    assert white.sha256 != black.sha256
    note = f"transparent images in {tmp_path.name}, laid on black: 1 "
    assert [each.startswith(note) for each in black.notes] == [True]

    (tmp_path / "a.png").unlink()
    white, black = load(tmp_path), load(tmp_path, background="black")
    assert white.sha256 == black.sha256
    assert (white.notes, black.notes) == ((), ())
