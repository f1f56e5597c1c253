import threading

import numpy as np
import pytest
import torch

from dcgan.core.processors import ProcessorLimits
from dcgan.evaluation import preprocess
from dcgan.evaluation.preprocess import prepare, shrink


def test_images_are_averaged_down_and_never_enlarged():
    image = np.zeros((1, 4, 4, 1), np.uint8)
    image[0, :2, :2] = 200
    image[0, 0, 2] = 100

    assert shrink(image, 2)[0, :, :, 0].tolist() == [[200, 25], [0, 0]]
    assert shrink(image, 8) is image


@pytest.mark.parametrize("channels", [1, 3])
def test_levels_are_scaled_and_grey_has_three_equal_channels(channels):
    images = np.full((2, 8, 8, channels), 255, np.uint8)
    found = prepare(images, 16)

    assert found.shape == (2, 3, 16, 16)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.ones(2, 3, 16, 16))


@pytest.mark.parametrize("usable", [1, 2])
def test_images_are_enlarged_in_as_many_threads_as_there_are_processors(monkeypatch, usable):
    monkeypatch.setattr(preprocess, "processor_limits", lambda: ProcessorLimits(affinity=usable))
    threads = set()
    all_at_work = threading.Barrier(usable, timeout=60)
    real = preprocess._resize

    def resize(*args):
        threads.add(threading.get_ident())
        all_at_work.wait()
        return real(*args)

    monkeypatch.setattr(preprocess, "_resize", resize)
    prepare(np.zeros((8, 8, 8, 3), dtype=np.uint8), 16)
    assert len(threads) == usable
