"""The entries of a manifest: files, tensors, golden images, origin, metrics and parity results."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dcgan.core import noise
from dcgan.core.errors import DcganError

ROLES = ("onnx", "torchscript", "pt2", "safetensors", "parity", "card", "samples", "golden")
"""What a file of a model folder is for."""

PRECISIONS = ("fp32", "fp16", "int8")
"""Precisions of the files that compute images."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_FILE_BYTES = 2**31  # limit of protobuf, and so of ONNX
_MAX_GOLDEN_IMAGES = 64


class ManifestError(DcganError):
    """A manifest that contradicts itself or the files in its folder."""


def check(fits: bool, message: str) -> None:
    """Checks a rule of the manifest.

    Raises:
        ManifestError: if it is broken.
    """
    if not fits:
        raise ManifestError(message)


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file of a model folder.

    Attributes:
        role: one of ROLES.
        path: its name; there are no folders inside a model folder.
        bytes: its size.
        sha256: its digest, in hexadecimal.
        precision: one of PRECISIONS for a file that computes images, else None.
    """

    role: str
    path: str
    bytes: int
    sha256: str
    precision: str | None = None

    def __post_init__(self) -> None:
        check(
            self.role in ROLES,
            f"file {self.path!r:.60} has the role {self.role!r:.60}, not one of {', '.join(ROLES)}",
        )
        check(
            _FILE.fullmatch(self.path) is not None,
            f"file name {self.path!r:.60} is not a plain name inside the folder",
        )

        check(
            0 < self.bytes < _MAX_FILE_BYTES,
            f"{self.path} has a size of {self.bytes} bytes, not 1 to {_MAX_FILE_BYTES - 1}",
        )
        check(
            _SHA256.fullmatch(self.sha256) is not None,
            f"{self.path} has no valid SHA-256: {self.sha256!r:.70}",
        )

        known = self.precision is None or self.precision in PRECISIONS
        check(
            known,
            f"{self.path} has the precision {self.precision!r:.60}, "
            f"not one of {', '.join(PRECISIONS)}",
        )


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of the served graph; `shape` has names for the sizes that vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class GoldenImage:
    """An image that a server makes at start to test itself."""

    seed: int
    index: int
    label: int | None = None

    def __post_init__(self) -> None:
        inside = 0 <= self.seed < noise.INDEX_LIMIT and 0 <= self.index < noise.INDEX_LIMIT
        check(inside, f"golden image ({self.seed}, {self.index}) is outside 0 to 2^64 - 1")


@dataclass(frozen=True, kw_only=True)
class GoldenDigest:
    """SHA-256 of all golden pixels, made by one file on one provider and processor family.

    Attributes:
        path: of the file.
        provider: execution provider of ONNX Runtime.
        processor: family of the processor.
        sha256: of the pixels.
        batch_size: images in every batch if the pixels depend on it, as on CUDA; else None.
    """

    path: str
    provider: str
    processor: str
    sha256: str
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Golden:
    """The golden images; the file with the role "golden" shows them side by side."""

    images: tuple[GoldenImage, ...]
    digests: tuple[GoldenDigest, ...]

    def __post_init__(self) -> None:
        n = len(self.images)
        check(
            0 < n <= _MAX_GOLDEN_IMAGES,
            f"there are {n} golden images, not 1 to {_MAX_GOLDEN_IMAGES}",
        )


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured value and how it was measured."""

    name: str
    value: float
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Tolerances of a file in the parity gate, in the units of `Parity`.

    Attributes:
        max_abs_error: largest value allowed.
        max_levels: largest value allowed.
        pixels_changed: largest value allowed.
        psnr: smallest value allowed; None if it is not checked.
        quality_levels: largest value allowed; None if it is not checked.
    """

    max_abs_error: float
    max_levels: int
    pixels_changed: float
    psnr: float | None = None
    quality_levels: int | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Distance of a file from the trained network, over all probes of the parity gate.

    Attributes:
        path: the file.
        provider: backend that ran it, e.g. "CPUExecutionProvider" or "TorchScript".
        passed: whether it is within its tolerances.
        max_abs_error: largest difference of a float pixel in [-1, 1]; None if the file returns no
            floats.
        max_levels: largest difference of a pixel in grey levels.
        pixels_changed: share of pixels that differ at all, 0 to 1.
        psnr: peak signal-to-noise ratio over 4,096 images, in decibels, if it is checked.
        quality_levels: largest difference of a pixel in grey levels over the same images.
        thresholds: its tolerances; None in manifests of the first release.
    """

    path: str
    provider: str
    passed: bool
    max_levels: int
    pixels_changed: float
    max_abs_error: float | None = None
    psnr: float | None = None
    quality_levels: int | None = None
    thresholds: Thresholds | None = None
