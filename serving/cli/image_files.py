"""The files that `dcgan-generate` writes: grids, animations, arrays and folders of PNG files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dcgan.core.atomic import new_folder, replacing
from dcgan.core.captions import add_captions, caption_height
from dcgan.core.images import Pixels, encode_png, tile
from dcgan.core.output import OutputError, explaining
from dcgan.core.picture_files import MAX_SIDES, enlarge, resize, write_animation, write_picture
from dcgan.serving.cli.selection import Selection

MAX_PICTURE_PIXELS = 2**28
"""Maximum number of pixels of a picture, or of all frames of an animation together."""

_PICTURE_SUFFIXES = frozenset({".png", ".webp", ".gif"})
_OTHER_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".avif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, kw_only=True)
class OutputPlan:
    """What to write, and where.

    Attributes:
        out: file or folder.
        kind: "grid", "animation", "npy" or "folder".
        extension: of the picture: "png", "webp" or "gif".
        columns: images in a row of a grid; None for a near-square grid.
        scale: whole factor by which pictures are enlarged.
        captions: whether there is a number under each image of a grid.
        frame_ms: duration of a frame of an animation in milliseconds.
        bounce: whether an animation runs back to its beginning.
    """

    out: Path
    kind: str
    extension: str = "png"
    columns: int | None = None
    scale: int = 1
    captions: bool = False
    frame_ms: int = 80
    bounce: bool = False


def choose_kind(out: Path, named: str, *, is_walk: bool) -> str:
    """Returns what to write: "grid", "animation", "npy" or "folder".

    Args:
        out: where to write it.
        named: the format that the user named; "auto" to go by the suffix of `out`.
        is_walk: whether the images are a walk.

    Raises:
        OutputError: if it cannot be written there.
    """
    suffix = out.suffix.lower()
    kind = _kind_of_suffix(out, suffix, is_walk=is_walk) if named == "auto" else named

    if kind == "animation" and suffix not in (".webp", ".gif"):
        raise OutputError(f"an animation is a .webp or .gif, not {out}; name another --out")
    if kind == "animation" and not is_walk:
        raise OutputError("an animation runs from --seed to another seed; give --to-seed")
    if kind == "grid" and suffix == ".gif":
        raise OutputError(
            f"{out} cannot be written: a .gif holds an animation from --seed to --to-seed; "
            "name a .png or .webp for --out"
        )

    with explaining(out, "--out"):
        if kind == "folder" and out.exists() and not _is_empty_folder(out):
            raise OutputError(f"{out} exists and is not an empty folder; name another --out")
        if kind != "folder" and out.is_dir():
            raise OutputError(f"{out} is a folder; name a file for --out")
    return kind


def check_size(plan: OutputPlan, selection: Selection) -> None:
    """Checks that the files can be written, before anything is drawn.

    Raises:
        OutputError: if a picture would be too large, or an array would hold images of several
            shapes.
    """
    models = selection.models
    shapes = {(model.height, model.width, model.channels) for model in models}
    if plan.kind == "npy" and len(shapes) > 1:
        raise OutputError(
            "an array holds images of one shape, and the models have several; "
            "name a .png, a .webp or a folder for --out"
        )
    if plan.kind in ("npy", "folder"):
        return

    n = sum(part.n for part in selection.parts)
    width = plan.scale * max(model.width for model in models)
    height = plan.scale * max(model.height for model in models)
    columns = plan.columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    if plan.kind == "animation":
        columns, rows = 1, 1

    pixels = width * height * (n if plan.kind == "animation" else rows * columns)
    if pixels > MAX_PICTURE_PIXELS:
        raise OutputError(
            f"{plan.out} would have {pixels} pixels, and {MAX_PICTURE_PIXELS} are allowed; "
            "take fewer images or a smaller --scale, or name a folder for --out"
        )

    if plan.captions:
        height += caption_height(selection.captions(), width)
    longest = max(rows * height, columns * width)
    if longest > MAX_SIDES[plan.extension]:
        raise OutputError(
            f"{plan.out} would have {longest} pixels in one direction, and a .{plan.extension} "
            f"has at most {MAX_SIDES[plan.extension]}; name a .png for --out"
        )


def write_images(parts: Sequence[Pixels], plan: OutputPlan, selection: Selection) -> bool:
    """Writes images to a file or folder, atomically.

    Args:
        parts: the images of each part of the selection, uint8 [n, H, W, C].
        plan: what to write, and where.
        selection: what the images are.

    Returns:
        Whether a file was replaced.

    Raises:
        OutputError: if it cannot be written; then nothing is.
    """
    with explaining(plan.out, "--out"):
        if plan.kind == "folder":
            with new_folder(plan.out) as folder:
                _write_folder(parts, folder, plan, selection)
            return False

        replaced = plan.out.is_file()
        plan.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(plan.out) as temporary, temporary.open("wb") as file:
            if plan.kind == "npy":
                _write_npy(_join(parts), file)
            else:
                file.write(_write_picture(_join(parts), plan, selection))
    return replaced


def _kind_of_suffix(out: Path, suffix: str, *, is_walk: bool) -> str:
    if suffix in _OTHER_IMAGE_SUFFIXES:
        problem = "the formats for pictures are .png, .webp and .gif"
        raise OutputError(f"{out} cannot be written: {problem}; name another --out")
    if suffix == ".npy":
        return "npy"
    if suffix not in _PICTURE_SUFFIXES:
        return "folder"
    return "animation" if is_walk and suffix != ".png" else "grid"


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _write_picture(images: Pixels, plan: OutputPlan, selection: Selection) -> bytes:
    images = enlarge(images, plan.scale)
    text = selection.text()
    if plan.kind == "animation":
        return write_animation(images, plan.extension, plan.frame_ms, bounce=plan.bounce, text=text)

    if plan.captions:
        images = add_captions(images, selection.captions())
    return write_picture(tile(images, plan.columns), plan.extension, text)


def _write_folder(
    parts: Sequence[Pixels], folder: Path, plan: OutputPlan, selection: Selection
) -> None:
    images = (image for part in parts for image in part)
    described = zip(images, selection.file_names(), selection.texts(), strict=True)
    for image, name, text in described:
        larger = enlarge(image[None], plan.scale)[0]
        (folder / f"{name}.png").write_bytes(encode_png(larger, text))


def _write_npy(images: Pixels, file: BinaryIO) -> None:
    # `numpy.save` reports a full disk without its reason.
    header = np.lib.format.header_data_from_array_1_0(images)
    np.lib.format.write_array_header_1_0(file, header)
    file.write(np.ascontiguousarray(images).data)


def _join(parts: Sequence[Pixels]) -> Pixels:
    """Joins images to one array; if their shapes differ, all get the largest size, in color."""
    if len(parts) == 1:
        return parts[0]

    if len({part.shape[1:] for part in parts}) > 1:
        size = max(part.shape[1] for part in parts)
        channels = max(part.shape[3] for part in parts)
        parts = [
            np.broadcast_to(resize(part, size), (len(part), size, size, channels)) for part in parts
        ]
    return np.concatenate(parts)
