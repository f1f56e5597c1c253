"""Makes the data set emoji64: Google's and Twitter's emoji on white, 64x64, labelled by category.

    python scripts/datasets/emoji64.py --out emoji64.zip

Takes a minute and needs npm. The pictures are Noto Emoji (Apache-2.0) and Twemoji (CC BY 4.0); see
README.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from install import npm_packages
from PIL import Image
from pinned_zip import write_pinned_zip

from dcgan.core.command_line import CONTEXT_SETTINGS, Command
from dcgan.core.images import Pixels
from dcgan.training.data.stylegan_zip import check_absent

CLASSES = (
    "smileys & emotion",
    "people & body",
    "animals & nature",
    "food & drink",
    "travel & places",
    "activities",
    "objects",
    "symbols",
    "flags",
)
VENDORS = ("google", "twitter")
SIZE = 64

PIXELS_SHA256 = "16cd9a446e06faec38b2ebe92ee9929ba5e1a457ba586bd599c2998480ce6203"
ZIP_SHA256 = "4aa70fdc610b6b2af1d09dc0f8835bb48d86c07b3495787f025058d4d23be01d"


@click.command("emoji64", cls=Command, context_settings=CONTEXT_SETTINGS)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Zip to write.")
def main(out: Path) -> None:
    """Collects 64x64 emoji on white and writes them as a StyleGAN zip with categories as labels."""
    check_absent(out)

    with npm_packages(Path(__file__).with_suffix("")) as project:
        pairs = [pair for vendor in VENDORS for pair in read_emoji(project, vendor)]

    write_pinned_zip(
        out,
        np.stack([image for image, _ in pairs]),
        np.array([label for _, label in pairs], dtype=np.int64),
        CLASSES,
        pixels_sha256=PIXELS_SHA256,
        zip_sha256=ZIP_SHA256,
    )


def read_emoji(project: Path, vendor: str) -> Iterator[tuple[Pixels, int]]:
    """Reads the emoji of one vendor, in the order of the package's list, skin tones after each.

    Yields:
        The image on white, uint8 [SIZE, SIZE, 3], and its category.
    """
    package = project / "node_modules" / f"emoji-datasource-{vendor}"
    folder = package / "img" / vendor / str(SIZE)

    for entry in json.loads((package / "emoji.json").read_text(encoding="utf-8")):
        # Skin tones on their own are in the category "Component", which is not a class.
        label = _label(entry["category"])
        if label is None:
            continue
        for variant in (entry, *entry.get("skin_variations", {}).values()):
            if _is_drawn(variant, vendor):
                yield flatten(folder / variant["image"]), label


def flatten(path: Path) -> Pixels:
    """Reads a PNG and lays it on white, centred if it is smaller than the others."""
    with Image.open(path) as file:
        emoji = file.convert("RGBA")

    canvas = Image.new("RGBA", (SIZE, SIZE), "white")
    corner = ((SIZE - emoji.width) // 2, (SIZE - emoji.height) // 2)
    canvas.alpha_composite(emoji, corner)
    return np.asarray(canvas.convert("RGB"))


def _label(category: str) -> int | None:
    name = category.lower()
    return CLASSES.index(name) if name in CLASSES else None


def _is_drawn(variant: dict[str, Any], vendor: str) -> bool:
    """Returns whether the vendor drew this emoji, and did not fall back to another's picture."""
    return bool(variant[f"has_img_{vendor}"])


if __name__ == "__main__":
    main()
