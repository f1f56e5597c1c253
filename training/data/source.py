"""Image sources: images with names and labels that can be opened one by one."""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol, TypeVar

from PIL import Image, UnidentifiedImageError

from dcgan.training.data.pixel_limit import check_pixels
from dcgan.training.errors import UnusableImageError

T = TypeVar("T")

EXTENSIONS = frozenset(
    {
        ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx",
        ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Files with these extensions, in upper or lower case, are images."""

# The decoders that may read them, chosen by content. The list leaves out all that start a program
# (EPS calls Ghostscript) or are rarely tested.
_DECODERS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")

DECODE_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    SyntaxError,
    EOFError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    # Tags of another type or length than they declare.
    struct.error,
    TypeError,
    LookupError,
    ArithmeticError,
)
"""What Pillow and zipfile raise for damaged, encrypted and unknown files."""

# Bounds of a TIFF: numbers of a tag, such as the offsets of strips, and tags.
_MAX_TAG_VALUES = 2**20
_MAX_TAGS = 2**16
_BYTE_TYPES = (1, 2, 6, 7)  # bytes and text, which are read whole

# Bound of the EXIF data of a JPEG, which are in one segment of 64 KiB or less unless they are
# extended, and the markers of its segments.
_MAX_EXIF_BYTES = 2**20
_EXIF = b"Exif\0\0"
_APP1 = b"\xe1"
_START_OF_SCAN = b"\xda"
_MARKERS_ALONE = (0x00, 0x01, *range(0xD0, 0xD9))  # without a length

MAX_FILE_BYTES = 2**28
_MAX_DECODE_S = 60.0  # processor time, so that a busy machine leaves out nothing more

# Folders in which file managers and storage systems keep thumbnails, metadata and deleted files.
_IGNORED_FOLDERS = frozenset(
    {"@eadir", "@__thumb", "__macosx", "#recycle", "@recycle", "$recycle.bin", "lost+found"}
)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, position: int, whence: int = 0, /) -> int: ...


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Images that can be opened one by one.

    Attributes:
        name: name to show, without a path.
        items: name of each image, in the order that numbers them.
        open: opens image i; it may be decoded later.
        labels: class of each image; None without classes.
        class_names: one for each class, or none.
        labels_problem: why the labels cannot be used, in a sentence; None if they can, or if there
            are none.
        skipped: number of files that are not images and were left out.
        skipped_types: how many of which type, such as "2 .heic, 1 .txt", without those in hidden
            folders and folders of thumbnails.
        ignored: number of images in hidden folders and folders of thumbnails.
        key: digest of names, sizes and dates or checksums, which identifies the decoded images in
            the cache; None for images that are in memory.
    """

    name: str
    items: tuple[str, ...]
    open: Callable[[int], Image.Image]
    labels: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()
    labels_problem: str | None = None
    skipped: int = 0
    skipped_types: str = ""
    ignored: int = 0
    key: str | None = None


def open_image(file: BinaryIO) -> Image.Image:
    """Opens an image file with one of the allowed decoders, chosen by content.

    Args:
        file: the file, which the image closes.

    Raises:
        PIL.UnidentifiedImageError: if it is in no known format.
        OSError: if it cannot be read, now or when it is decoded; or if decoding takes too long.
    """
    timed = _TimedFile(file)
    if (count := _largest_tag(timed)) > _MAX_TAG_VALUES:
        raise OSError(f"a tag of the TIFF has {count:,} values")
    if _jpeg_exif_bytes(timed) > _MAX_EXIF_BYTES:
        raise OSError(f"its EXIF data have over {_MAX_EXIF_BYTES // 2**20} MiB")
    Image.init()  # registers all decoders
    known = [name for name in _DECODERS if name in Image.OPEN]
    return Image.open(timed, formats=known)  # type: ignore[arg-type]


def read_tags(file: _Readable) -> Iterator[tuple[int, int, int]]:
    """Yields number, type and count of values of each tag of a TIFF file; none of another file.

    Source: TIFF, revision 6.0, section 2, and the BigTIFF specification.
    """
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        return

    is_big = 43 in struct.unpack(f"{order}H", head[2:4])
    position = struct.unpack(f"{order}Q", head[8:])[0] if is_big else 0
    position = position or struct.unpack(f"{order}I", head[4:8])[0]
    file.seek(min(position, 2**62))
    width = 8 if is_big else 2
    number = int.from_bytes(file.read(width), "little" if order == "<" else "big")
    entry = struct.Struct(f"{order}HHQ8x" if is_big else f"{order}HHI4x")
    table = file.read(min(number, _MAX_TAGS) * entry.size)
    whole = table[: len(table) // entry.size * entry.size]
    yield from entry.iter_unpack(whole)


def _largest_tag(file: _TimedFile) -> int:
    """Returns the most numbers that a tag of a TIFF file has; 0 for another file.

    Pillow makes objects of all strips and tiles of an image before anything bounds them.
    """
    counts = [count for _, kind, count in read_tags(file) if kind not in _BYTE_TYPES]
    file.seek(0)
    return max(counts, default=0)


def _jpeg_exif_bytes(file: _TimedFile) -> int:
    """Returns the size of the EXIF data in all segments of a JPEG; 0 for another file.

    Pillow joins the segments, and makes objects of all values of a resolution in them.
    Source: ITU-T T.81, annex B, and Exif 2.3, section 4.7.
    """
    size = 0
    marker = b"\xff" if file.read(2) == b"\xff\xd8" else b""
    while marker and marker != _START_OF_SCAN:
        marker = file.read(1)
        if marker != b"\xff":
            continue
        while marker == b"\xff":
            marker = file.read(1)
        if not marker or marker[0] in _MARKERS_ALONE:
            continue

        length = int.from_bytes(file.read(2), "big")
        begins = file.read(min(len(_EXIF), max(length - 2, 0)))
        if marker == _APP1 and begins == _EXIF:
            size += length
        file.seek(max(length - 2 - len(begins), 0), os.SEEK_CUR)
    file.seek(0)
    return size


class _TimedFile:
    """A file that can be read for a limited processor time, and is closed with its last reference.

    A small file can take hours: a JPEG of a hundred thousand scans, a PNG of millions of chunks.

    Args:
        file: the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = time.thread_time() + _MAX_DECODE_S

    def __del__(self) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        if time.thread_time() > self._end:
            raise OSError(f"decoding takes over {_MAX_DECODE_S:g} s")
        return self._file.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def is_image(name: str) -> bool:
    """Returns whether a path, written with forward slashes, has the extension of an image."""
    return PurePosixPath(name).suffix.lower() in EXTENSIONS


def is_ignored(name: str) -> bool:
    """Returns whether a path is hidden, or leads through a folder of thumbnails or metadata."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part.lower() in _IGNORED_FOLDERS for part in parts)


def other_types(names: Iterable[str]) -> str:
    """Returns the commonest extensions of files that are not images, such as "2 .heic, 1 .txt"."""
    others = (name for name in names if not is_image(name) and not is_ignored(name))
    counts = Counter(PurePosixPath(name).suffix.lower() or "without extension" for name in others)
    return ", ".join(
        f"{count} {to_utf8_text(suffix)[:20]}" for suffix, count in counts.most_common(3)
    )


def source_key(entries: Iterable[tuple[object, ...]]) -> str:
    """Returns a digest of what identifies each file: its name and its size, dates or checksum."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(repr(entry).encode() + b"\n")
    return digest.hexdigest()


def file_stamp(path: Path) -> tuple[int, ...]:
    """Returns size and times of a file, which change with its content; nothing without a file."""
    try:
        status = path.stat()
    except FileNotFoundError:  # dataset.json is optional
        return ()
    # A copy can preserve the modification time, so another image may have the old one. Nothing sets
    # st_ctime.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def to_utf8_text(text: str) -> str:
    """Replaces what cannot be written as UTF-8, which file names and JSON may contain."""
    return text.encode("utf-8", "replace").decode("utf-8")


def with_image(source: ImageSource, i: int, use: Callable[[Image.Image], T]) -> T:
    """Opens an image and returns `use(image)`.

    Raises:
        UnusableImageError: names the image and what is wrong with it.
    """
    item = to_utf8_text(f"the image {source.items[i]} in {source.name}")
    cure = "fix it, remove it or use --skip-corrupt"
    try:
        with source.open(i) as image:
            check_pixels(image, item)
            return use(image)
    except Image.DecompressionBombError:
        raise UnusableImageError(f"{item} has far too many pixels", "shrink or remove it") from None
    except UnidentifiedImageError:
        problem = f"{item} cannot be decoded (it is in no known image format)"
        raise UnusableImageError(problem, cure) from None
    except DECODE_ERRORS as error:
        problem = f"{item} cannot be decoded ({error!s:.100})"
        raise UnusableImageError(problem, cure) from None
