"""A released generator in PyTorch, found by name."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from dcgan.core import noise
from dcgan.core.images import Pixels
from dcgan.export.errors import ExportError
from dcgan.export.formats.released_weights import find_weights, read_weights
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.zoo.catalog import get_model
from dcgan.zoo.hub.pull import pull
from dcgan.zoo.manifest import FILE_NAME, Manifest
from dcgan.zoo.release import Release, read_release

__all__ = ["Generator"]

_BATCH = 64
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class Generator(nn.Module):
    """A released generator: batch normalization is folded, weights are those of the ONNX file.

    Its images are within one grey level of those of `generator.onnx`; only ONNX Runtime makes
    them byte for byte. Loading one never runs code from its files.

    Args:
        network: the network.
        manifest: of the model.

    Attributes:
        manifest: of the model: sizes, class names, licence, training.
    """

    def __init__(self, network: FoldedGenerator, manifest: Manifest) -> None:
        super().__init__()
        self.manifest = manifest
        self.network = network
        self._pixels = PixelGenerator(network)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, version: int | None = None) -> Generator:
        """Loads a model of the package, the cache, a folder or a Hugging Face repository.

        The weights are those of the safetensors file. A model without one has the same weights in
        its float32 ONNX file; reading them needs the package `onnx`.

        Args:
            name: of a model, such as "dcgan64"; a model folder; or a repository, OWNER/NAME,
                which is pulled into the cache (needs the extra `hub`).
            version: of the model with that name; the newest by default.

        Returns:
            The generator, in eval mode, on the CPU.

        Raises:
            DcganError: if there is no such model, or it is damaged.
        """
        release = _find(name, version)
        network = _read_weights(release)
        _check_shape(network, release)
        return cls(network, release.manifest).eval()

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Generates images.

        Args:
            z: standard normals, [B, latent_size].
            label: class of each image, int64 [B]; None without classes.

        Returns:
            Images in [-1, 1], [B, channels, image_size, image_size].
        """
        return self._pixels.float_images(z, label)

    @torch.inference_mode()
    def generate(
        self, seed: int, n: int = 1, *, offset: int = 0, label: int | None = None
    ) -> Pixels:
        """Generates images by the noise scheme of the model, as the service does.

        Args:
            seed: 0 to 2**64 - 1.
            n: number of images.
            offset: index of the first image.
            label: class of all images; image i has class i modulo the number of classes if it is
                None.

        Returns:
            uint8 [n, image_size, image_size, channels].

        Raises:
            ExportError: if there is no such class.
        """
        manifest = self.manifest
        if label is not None and not 0 <= label < manifest.classes:
            raise ExportError(f"{manifest.name} has {manifest.classes} classes, and no {label}")

        device = self.network.head.weight.device
        pixels = torch.empty(
            (n, manifest.image_size, manifest.image_size, manifest.channels), dtype=torch.uint8
        )
        for start in range(0, n, _BATCH):
            count = min(_BATCH, n - start)
            z = noise.latents(seed, offset + start, count, manifest.latent_size)
            labels = None
            if manifest.classes:
                turns = noise.labels(offset + start, count, manifest.classes)
                labels = torch.from_numpy(turns).to(device)
                if label is not None:
                    labels.fill_(label)
            pixels[start : start + count] = self._pixels(torch.from_numpy(z).to(device), labels)
        return pixels.numpy()


def _find(name: str | Path, version: int | None) -> Release:
    folder = Path(name)
    if (folder / FILE_NAME).is_file():
        return read_release(folder)
    if isinstance(name, str) and _REPOSITORY.fullmatch(name):
        return pull(name)
    return get_model(str(name), version).release


def _read_weights(release: Release) -> FoldedGenerator:
    """Reads the weights of a model after checking their SHA-256."""
    weights = find_weights(release.manifest)
    if weights is None:
        raise ExportError(
            f"{release.folder} has neither safetensors nor a float32 ONNX file; export it again"
        )
    release.verify_file(weights)
    return read_weights(weights, release.folder, release.manifest)


def _check_shape(network: FoldedGenerator, release: Release) -> None:
    manifest = release.manifest
    found = (network.latent_size, network.image_size, network.channels, network.classes)
    stated = (manifest.latent_size, manifest.image_size, manifest.channels, manifest.classes)
    if found != stated:
        raise ExportError(
            f"the weights in {release.folder} are not those of a generator as its manifest "
            "describes; export it again"
        )
