"""Makes the data set kanji64: Han glyphs in four faces of Noto CJK, 64x64, black on white.

    python scripts/datasets/kanji64.py --out kanji64.zip

Takes about three minutes and needs apt. The fonts are licensed under the OFL 1.1; see README.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from install import debian_package
from PIL import Image, ImageDraw, ImageFont
from pinned_zip import write_pinned_zip

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.images import Pixels
from dcgan.training.data.stylegan_zip import check_absent

PACKAGE = "fonts-noto-cjk"
VERSION = "1:20220127+repack1-1"
DEB_SHA256 = "4a2515eb6db3978b897fef9709ed0d2b1f4c6c4df4d83d6c4ef65f71f1b1f502"
FOLDER = "usr/share/fonts/opentype/noto"

FACES = {
    "sans regular": "NotoSansCJK-Regular.ttc",
    "sans bold": "NotoSansCJK-Bold.ttc",
    "serif regular": "NotoSerifCJK-Regular.ttc",
    "serif bold": "NotoSerifCJK-Bold.ttc",
}
JAPANESE = 0  # which of a collection's regional forms
CHARACTERS = range(0x4E00, 0x9FA6)  # the CJK Unified Ideographs of Unicode 1.1

SIZE = 64
FONT_SIZE = 58  # leaves a margin of about three pixels

PIXELS_SHA256 = "b1911c6a0cf750ea0081ee72de5a8c37f665babeb7addc950952e6dba8354ea8"
ZIP_SHA256 = "a883b6195050ae834095a524d826964523ca798c7b7f8f9179f3527bdf4a285b"


@click.command("kanji64", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Zip to write.")
def main(out: Path) -> None:
    """Draws 64x64 Han glyphs in four faces and writes them as a StyleGAN zip with labels."""
    check_absent(out)
    images = np.empty((len(CHARACTERS), len(FACES), SIZE, SIZE, 1), dtype=np.uint8)

    with debian_package(PACKAGE, VERSION, DEB_SHA256) as files:
        for label, file in enumerate(FACES.values()):
            for i, glyph in enumerate(draw_glyphs(files / FOLDER / file)):
                images[i, label] = glyph

    # The four faces of a character follow each other.
    write_pinned_zip(
        out,
        images.reshape(-1, SIZE, SIZE, 1),
        np.tile(np.arange(len(FACES)), len(CHARACTERS)),
        tuple(FACES),
        pixels_sha256=PIXELS_SHA256,
        zip_sha256=ZIP_SHA256,
    )


def draw_glyphs(font_file: Path) -> Iterator[Pixels]:
    """Draws all characters in one face.

    Yields:
        uint8 [SIZE, SIZE, 1], black on white.
    """
    font = ImageFont.truetype(
        str(font_file), FONT_SIZE, index=JAPANESE, layout_engine=ImageFont.Layout.BASIC
    )
    with click.progressbar(CHARACTERS, label=font_file.stem) as characters:
        for character in characters:
            image = Image.new("L", (SIZE, SIZE), "white")
            middle = (SIZE / 2, SIZE / 2)
            ImageDraw.Draw(image).text(middle, chr(character), fill="black", font=font, anchor="mm")
            yield np.asarray(image)[:, :, None]


if __name__ == "__main__":
    main()
