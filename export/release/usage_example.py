"""The program in the model card that generates images with ONNX Runtime alone."""

from __future__ import annotations

from dcgan.zoo.manifest import Manifest


def usage_example(manifest: Manifest) -> str:
    """Returns a Python program that writes images 0 to 63 of seed 7 as `grid.png`."""
    size = manifest.image_size
    channels = manifest.channels
    latent_size = manifest.latent_size

    # Philox gives four words at a time.
    words = -(-latent_size // 4) * 4
    cut = f"[:, :{latent_size}]" if words != latent_size else ""
    label = f', "label": np.arange(64) % {manifest.classes}' if manifest.classes else ""
    side = 8 * size
    grid_shape = f"({side}, {side}, {channels})" if channels == 3 else f"({side}, {side})"

    return f"""\
import numpy as np
import onnxruntime
from PIL import Image

seed = 7
words = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)).random_raw(64 * {words})
u, v = ((words >> 11) * 2.0**-53).reshape(-1, 2).T.copy()
radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v
normals = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
z = normals.reshape(64, {words}){cut}.astype(np.float32)

session = onnxruntime.InferenceSession("generator.onnx", providers=["CPUExecutionProvider"])
images = session.run(["images"], {{"z": z{label}}})[0]  # uint8 [64, {size}, {size}, {channels}]

grid = images.reshape(8, 8, {size}, {size}, {channels}).swapaxes(1, 2).reshape{grid_shape}
Image.fromarray(grid).save("grid.png")
"""
