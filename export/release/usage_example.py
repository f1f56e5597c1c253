"""The programs in the model card that generate images, with ONNX Runtime alone and in PyTorch."""

from __future__ import annotations

from dcgan.zoo.manifest import Manifest

IMAGES = 64
"""Images that each program generates, of seed 7."""


def usage_example(manifest: Manifest) -> str:
    """Returns a Python program that writes images 0 to 63 of seed 7 as `grid.png`.

    It needs ONNX Runtime, NumPy and Pillow. Three of its lines generate: the two of the noise
    scheme, and the call of the session.
    """
    size = manifest.image_size
    channels = manifest.channels
    latent_size = manifest.latent_size

    # Philox gives four words at a time.
    words = -(-latent_size // 4) * 4
    cut = f"[:, :{latent_size}]" if words != latent_size else ""
    label = f', "label": np.arange({IMAGES}) % {manifest.classes}' if manifest.classes else ""
    side = 8 * size
    grid_shape = f"({side}, {side}, {channels})" if channels == 3 else f"({side}, {side})"

    philox = "np.random.Philox(key=np.array([seed, 0], np.uint64))"
    session = 'onnxruntime.InferenceSession("generator.onnx", providers=["CPUExecutionProvider"])'
    return f"""\
import numpy as np
import onnxruntime
from PIL import Image

seed = 7
u, v = ({philox}.random_raw({IMAGES * words}) >> 11).reshape(-1, 2).T.copy() * 2.0**-53
z = (np.sqrt(-2 * np.log(1 - u)) * [np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)]).T\
.reshape({IMAGES}, {words}){cut}.astype(np.float32)
images = {session}.run(None, {{"z": z{label}}})[0]

# uint8 [{IMAGES}, {size}, {size}, {channels}] as a grid
grid = images.reshape(8, 8, {size}, {size}, {channels}).swapaxes(1, 2).reshape{grid_shape}
Image.fromarray(grid).save("grid.png")
"""


def pytorch_example(manifest: Manifest) -> str:
    """Returns a Python program that makes images 0 to 63 of seed 7 in PyTorch."""
    size = manifest.image_size
    shape = f"[{IMAGES}, {size}, {size}, {manifest.channels}]"
    return f"""\
from dcgan.export.pretrained import Generator

generator = Generator.from_pretrained("{manifest.name}")
images = generator.generate(seed=7, n={IMAGES})  # uint8 {shape}
"""
