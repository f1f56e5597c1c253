"""`samples.png`: images 0, 1, ... of seed 0 in a grid, none of them chosen."""

from __future__ import annotations

from pathlib import Path

from dcgan.core.images import encode_png, tile
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.inputs import seed_inputs
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.release import describe_file

FILE_NAME = "samples.png"
SEED = 0

_ROWS = 4
_COLUMNS = 8
_MAX_CLASS_COLUMNS = 16


def sample_columns(classes: int) -> int:
    """Returns the number of columns: one for each class, if there are few of them."""
    return classes if 0 < classes <= _MAX_CLASS_COLUMNS else _COLUMNS


def sample_count(classes: int) -> int:
    """Returns the number of images in the grid."""
    return _ROWS * sample_columns(classes)


def write_samples(reference: EagerBackend, draft: Manifest, folder: Path) -> ModelFile:
    """Writes the grid, with the labels that the service would give its images."""
    n = sample_count(draft.classes)
    inputs = seed_inputs(SEED, 0, n, latent_size=draft.latent_size, classes=draft.classes)
    grid = tile(reference(inputs).images, sample_columns(draft.classes))

    path = folder / FILE_NAME
    path.write_bytes(encode_png(grid))
    return describe_file(path, "samples")
