"""Images as the feature extractor takes them; docs/reference/evaluation.md specifies each step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.core.images import Pixels, to_pillow


def shrink(images: Pixels, size: int) -> Pixels:
    """Averages areas of images down to a size; smaller and equal images stay as they are.

    Args:
        images: uint8 [n, H, H, C].
        size: height and width to reach.

    Returns:
        uint8 [n, min(H, size), min(H, size), C].
    """
    if images.shape[1] <= size:
        return images
    return np.stack([_resize(image, size, Image.Resampling.BOX) for image in images])


def prepare(images: Pixels, input_size: int) -> NDArray[np.float32]:
    """Enlarges images and scales their levels as EfficientNet-Lite was trained: (x - 127) / 128.

    Args:
        images: uint8 [n, H, H, C], C 3 or 1; grey becomes three equal channels.
        input_size: height and width of the network's input.

    Returns:
        float32 [n, 3, input_size, input_size].
    """
    large = np.stack([_resize(image, input_size, Image.Resampling.BICUBIC) for image in images])
    if large.shape[3] == 1:
        large = large.repeat(3, axis=3)
    scaled = (large.astype(np.float32) - 127.0) / 128.0
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _resize(image: Pixels, size: int, method: Image.Resampling) -> Pixels:
    resized = np.asarray(to_pillow(image).resize((size, size), method))
    return resized.reshape(size, size, image.shape[2])
