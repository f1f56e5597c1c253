"""The grid of samples."""

import numpy as np
import onnxruntime as ort

from dcgan.core import noise
from dcgan.core.images import decode_png, tile
from dcgan.core.onnx_session import CPU


def test_the_samples_are_a_grid_of_eight_columns(release):
    grid = decode_png((release.folder / "samples.png").read_bytes())
    assert grid.shape == (4 * 32, 8 * 32, 3)


CLASSES = 3


def test_the_samples_show_one_class_in_each_column(labelled):
    grid = decode_png((labelled.folder / "samples.png").read_bytes())
    assert grid.shape == (4 * 32, CLASSES * 32, 3)
    z, label = noise.latents(0, 0, 12, 10), np.arange(12) % CLASSES
    session = ort.InferenceSession(labelled.folder / "generator.onnx", providers=[CPU])
    images = session.run(None, {"z": z, "label": label})[0]
    assert np.abs(tile(images, CLASSES).astype(int) - grid).max() <= 1
