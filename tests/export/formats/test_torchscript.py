"""The TorchScript file: its methods and batch sizes."""

import torch

from dcgan.export.formats.torchscript import read_torchscript


def test_torchscript_has_both_methods_and_takes_any_batch(release):
    module = read_torchscript(release.folder / "generator.ts")
    for n in (1, 5):
        z = torch.zeros(n, 10)
        assert module.float_images(z).shape == (n, 3, 32, 32)
        assert module(z).shape == (n, 32, 32, 3)
        assert module(z).dtype == torch.uint8
