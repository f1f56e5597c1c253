"""Images as the feature extractor takes them; docs/reference/evaluation.md specifies each step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dcgan.core.images import Pixels, to_pillow
from dcgan.core.processors import processor_limits

_MAX_THREADS = 8


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


def prepare(images: Pixels, input_size: int, device: str = "cpu") -> Tensor:
    """Enlarges images and scales their levels as EfficientNet-Lite was trained: (x - 127) / 128.

    Args:
        images: uint8 [n, H, H, C], C 3 or 1; grey becomes three equal channels.
        input_size: height and width of the network's input.
        device: where the levels are scaled.

    Returns:
        float32 [n, 3, input_size, input_size] on the device, channels last.
    """
    large = torch.from_numpy(_enlarge(images, input_size)).to(device)
    if large.shape[3] == 1:
        large = large.expand(-1, -1, -1, 3)
    scaled = (large.float() - 127.0) / 128.0
    return scaled.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _enlarge(images: Pixels, size: int) -> Pixels:
    """Resizes images in threads, since Pillow lets others run meanwhile."""

    def resize(image: Pixels) -> Pixels:
        return _resize(image, size, Image.Resampling.BICUBIC)

    threads = min(processor_limits().usable, _MAX_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(resize, images)))


def _resize(image: Pixels, size: int, method: Image.Resampling) -> Pixels:
    resized = np.asarray(to_pillow(image).resize((size, size), method))
    return resized.reshape(size, size, image.shape[2])
