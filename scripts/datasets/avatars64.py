"""Makes the data set avatars64: 50,000 drawn faces of 64x64 pixels in four styles, CC0.

    python scripts/datasets/avatars64.py --out avatars64.zip

The styles are DiceBear's collections Pixel Art, Lorelei, Notionists and Open Peeps; the collection
is the label. Takes about five minutes and needs npm.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO

import click
import numpy as np
from install import DatasetError, find_program, first_line, npm_packages
from numpy.typing import NDArray
from pinned_zip import write_pinned_zip

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.images import Pixels
from dcgan.training.data.stylegan_zip import check_absent

CLASSES = ("pixel art", "lorelei", "notionists", "open peeps")
COUNT = 50_000
SIZE = 64

PIXELS_SHA256 = "86c02f2f0805b543939526cd6aa0db5903ca970b3404fdd86fdb11e8acbd773b"
ZIP_SHA256 = "7ae5ab4080b182044210edcd07e30efb782601766b8f16e03393059b31862ae7"


@click.command("avatars64", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Zip to write.")
@click.option(
    "--count",
    type=click.IntRange(min=4),
    default=COUNT,
    help="Number of images; the digest is checked for the default only.",
)
def main(out: Path, count: int) -> None:
    """Draws 64x64 faces in four styles and writes them as a StyleGAN zip with labels."""
    check_absent(out)
    node = find_program("node", "install Node.js 20 or later")

    with npm_packages(Path(__file__).with_suffix("")) as project:
        images, labels = draw(node, project / "render.mjs", count)

    whole = count == COUNT
    write_pinned_zip(
        out,
        images,
        labels,
        CLASSES,
        pixels_sha256=PIXELS_SHA256 if whole else None,
        zip_sha256=ZIP_SHA256 if whole else None,
    )


def draw(node: str, script: Path, count: int) -> tuple[Pixels, NDArray[np.int64]]:
    """Runs the program that draws.

    Returns:
        Images, uint8 [count, SIZE, SIZE, 3], and labels, int64 [count].

    Raises:
        DatasetError: if it fails.
    """
    images = np.empty((count, SIZE, SIZE, 3), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    words = [node, script.name, str(count), str(SIZE)]

    with subprocess.Popen(
        words, cwd=script.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        with click.progressbar(range(count), label="drawing") as numbers:
            for i in numbers:
                record = _read(process.stdout, 1 + SIZE * SIZE * 3)
                if record is None:
                    problem = first_line(process.stderr.read().decode())
                    raise DatasetError(f"drawing stopped at image {i}: {problem}")
                labels[i] = record[0]
                images[i] = record[1:].reshape(SIZE, SIZE, 3)
    return images, labels


def _read(stream: IO[bytes], size: int) -> NDArray[np.uint8] | None:
    """Reads one record, or None at the end of the stream."""
    data = stream.read(size)
    return np.frombuffer(data, dtype=np.uint8) if len(data) == size else None


if __name__ == "__main__":
    main()
