"""Data sets: images, zips of images, labels."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dcgan.core.errors import DcganError
from fuzzing.target import Target, folder, refusing

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("PNG", "GIF", "TIFF", "WEBP", "JPEG", "BMP", "PPM", "QOI", "TGA", "JPEG2000", "AVIF")


def image_seeds() -> list[bytes]:
    """Returns a small image in every format, some with EXIF data, a profile or frames."""
    from PIL import Image, ImageCms, features  # noqa: PLC0415

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    deep = Image.new("I;16", (8, 8), 1000)

    seeds = []
    for kind in _FORMATS:
        if kind == "AVIF" and not features.check("avif"):
            continue
        extra: dict[str, object] = {}
        if kind in ("PNG", "JPEG", "WEBP", "TIFF"):
            extra = {"exif": exif, "icc_profile": profile}
        if kind in ("GIF", "WEBP", "TIFF", "PNG"):
            extra |= {"save_all": True, "append_images": [picture.rotate(90)]}
        seeds.append(_encode(picture, kind, **extra))
    seeds += [_encode(picture.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")]
    seeds += [_encode(deep, "PNG"), _encode(deep, "TIFF")]
    seeds += [
        _encode(picture.convert("CMYK"), "TIFF", compression=name)
        for name in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")
    ]
    return seeds


def _encode(image: Image.Image, kind: str, **extra: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **extra)
    return buffer.getvalue()


def fix_png(data: bytes) -> bytes:
    """Returns a PNG with right checksums in the chunks that can be found; others unchanged."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    fixed = bytearray(data)
    position = 8
    while position + 12 <= len(fixed):
        (size,) = struct.unpack_from(">I", fixed, position)
        end = position + 8 + size
        if end + 4 > len(fixed):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(fixed[position + 4 : end]))
        position = end + 4
    return bytes(fixed)


def run_image(data: bytes) -> None:
    """Decodes an image as training does."""
    from dcgan.training.data.decode import DecodeConfig, decode_to_memory  # noqa: PLC0415
    from dcgan.training.data.source import ImageSource, open_image  # noqa: PLC0415

    fixed = fix_png(data)
    source = ImageSource(name="x", items=("x",), open=lambda _: open_image(io.BytesIO(fixed)))
    with refusing(DcganError):
        decode_to_memory(source, DecodeConfig(image_size=32, channels=3), _no_progress)


def zip_seeds() -> list[bytes]:
    """Returns zips of images: stored, deflated, with labels, with class folders."""
    png = _encode(_picture(), "PNG")
    labels = json.dumps({"labels": [["a/1.png", 0], ["b/2.png", 1]]}).encode()
    cases: tuple[tuple[int, dict[str, bytes]], ...] = (
        (zipfile.ZIP_STORED, {"a/1.png": png, "b/2.png": png}),
        (zipfile.ZIP_DEFLATED, {"a/1.png": png, "b/2.png": png, "dataset.json": labels}),
        (zipfile.ZIP_LZMA, {"1.png": png}),
        (zipfile.ZIP_BZIP2, {"1.png": png}),
    )
    seeds = []
    for method, files in cases:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        seeds.append(buffer.getvalue())
    return seeds


def _picture() -> Image.Image:
    from PIL import Image  # noqa: PLC0415

    return Image.new("RGB", (4, 4), "red")


def run_zip(data: bytes) -> None:
    """Opens a zip as a data set and decodes its images."""
    from dcgan.training.data.decode import DecodeConfig, decode_to_memory  # noqa: PLC0415
    from dcgan.training.data.sources import open_source  # noqa: PLC0415

    config = DecodeConfig(image_size=4, channels=3, skip_corrupt=True)
    with folder() as place, refusing(DcganError), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        (place / "x.zip").write_bytes(data)
        decode_to_memory(open_source(str(place / "x.zip")), config, _no_progress)


def labels_seeds() -> list[bytes]:
    """Returns labels in every form."""
    tables: tuple[object, ...] = (
        {"labels": [["a", 0], ["b", 1]], "class_names": ["cat", "dog"]},
        {"labels": [["a", [1, 0]], ["b", [0.0, 1.0]]]},
        {"labels": None},
    )
    return [json.dumps(table).encode() for table in tables]


def run_labels(data: bytes) -> None:
    """Parses labels, which never raises."""
    from dcgan.training.data.labels import parse_labels  # noqa: PLC0415

    labels = parse_labels(data, "dataset.json", ("a", "b"))
    for text in (labels.problem or "", *labels.class_names):
        text.encode()


def _no_progress(numbers: Iterable[int]) -> Iterable[int]:
    return numbers


TARGETS = {
    "image": Target(image_seeds, run_image),
    "labels": Target(labels_seeds, run_labels),
    "zip": Target(zip_seeds, run_zip),
}
