"""`manifest.json`: everything that is known of one released model, in one strict document.

Written by `dcgan.export`, read by `dcgan.zoo` and `dcgan.serving`. It holds no clock time and no path of a machine, so
that two exports of one run give the same bytes. Rules that tie fields together are checked by `Manifest.__post_init__`,
so that a `Manifest` that exists is a valid one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dcgan.core import noise
from dcgan.core.errors import DcganError

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"

ROLES = ("onnx", "torchscript", "pt2", "safetensors", "parity", "card", "samples", "golden")
PRECISIONS = ("fp32", "fp16", "int8")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 2**31  # of one file: protobuf, and so ONNX, ends there
_MOST_LATENTS = 2**16
_MOST_PIXELS = 2**12  # of one side


class ManifestError(DcganError):
    """A manifest that contradicts itself or the files beside it."""


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file of a model folder.

    Attributes:
        role: one of ROLES.
        path: its name; files lie flat in the folder.
        bytes: its size.
        sha256: its digest, in hexadecimal.
        precision: one of PRECISIONS, for a file that computes images.
    """

    role: str
    path: str
    bytes: int
    sha256: str
    precision: str | None = None

    def __post_init__(self) -> None:
        _check(
            self.role in ROLES,
            f"file {self.path!r:.60} has the role {self.role!r:.60}, not one of {', '.join(ROLES)}",
        )
        _check(
            _FILE.fullmatch(self.path) is not None,
            f"file name {self.path!r:.60} is not a plain name inside the folder",
        )
        _check(
            0 < self.bytes < _MOST_BYTES, f"{self.path} has an absurd size of {self.bytes} bytes"
        )
        _check(
            _SHA256.fullmatch(self.sha256) is not None,
            f"{self.path} has no proper SHA-256: {self.sha256!r:.70}",
        )
        known = self.precision is None or self.precision in PRECISIONS
        _check(
            known,
            f"{self.path} has the precision {self.precision!r:.60}, not one of {', '.join(PRECISIONS)}",
        )


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of the served graph: `shape` holds sizes, or names of sizes that vary."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class GoldenImage:
    """One image that a server makes at start to test itself."""

    seed: int
    index: int
    label: int | None = None

    def __post_init__(self) -> None:
        inside = 0 <= self.seed < noise.INDEX_LIMIT and 0 <= self.index < noise.INDEX_LIMIT
        _check(inside, f"golden image ({self.seed}, {self.index}) is outside 0 to 2^64 - 1")


@dataclass(frozen=True, kw_only=True)
class GoldenDigest:
    """SHA-256 of all golden pixels, in order, as one file makes them on one provider and processor family.

    Attributes:
        path: of the file.
        provider: execution provider of ONNX Runtime.
        processor: family of the processor.
        sha256: of the pixels.
        batch_size: images in every batch, where the pixels depend on it, as on CUDA; None where they do not.
    """

    path: str
    provider: str
    processor: str
    sha256: str
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Golden:
    """The golden images; their pixels lie side by side, in one row, in the file with the role "golden"."""

    images: tuple[GoldenImage, ...]
    digests: tuple[GoldenDigest, ...]

    def __post_init__(self) -> None:
        _check(
            0 < len(self.images) <= 64, f"there are {len(self.images)} golden images, not 1 to 64"
        )


@dataclass(frozen=True, kw_only=True)
class Training:
    """Where the weights come from.

    Attributes:
        recipe: name of the training recipe.
        data: what the images were, for people.
        data_sha256: digest of the decoded images and labels.
        images_seen: real images shown to the discriminator, repeats counted.
        seed: of the run.
        hardware: processor that trained, for people.
        commit: of this project, where it is known.
    """

    recipe: str
    data: str
    data_sha256: str
    images_seen: int
    seed: int
    hardware: str
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measured figure and how it was measured."""

    name: str
    value: float
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What one file was held to, in the units of `Parity`.

    Attributes:
        max_abs_error: at most this.
        max_levels: at most this.
        pixels_changed: at most this.
        psnr: at least this; None where it was not asked for.
        quality_levels: at most this; None where it was not asked for.
    """

    max_abs_error: float
    max_levels: int
    pixels_changed: float
    psnr: float | None = None
    quality_levels: int | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far one file is from the trained network, over all probes of the parity gate.

    Attributes:
        path: the file.
        provider: what ran it, e.g. "CPUExecutionProvider" or "TorchScript".
        passed: the verdict.
        max_abs_error: largest difference of a float pixel in [-1, 1]; None where the file gives no floats.
        max_levels: largest difference of a pixel in grey levels.
        pixels_changed: share of pixels that differ at all, 0 to 1.
        psnr: peak signal-to-noise ratio over 4,096 images, in decibels, where it was asked for.
        quality_levels: largest difference of a pixel in grey levels over the same images.
        thresholds: what was allowed; None in manifests of the first release.
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


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A released model.

    Attributes:
        schema_version: of this document.
        name: lower-case letters, digits, `.`, `_`, `-`.
        version: counted from 1.
        description: what it makes, in a sentence.
        license: SPDX identifier.
        image_size: height and width, in pixels.
        channels: 3 (RGB) or 1 (grey).
        latent_size: length of a latent vector.
        classes: number of classes, 0 without labels.
        class_names: one for each class, or none.
        noise_scheme: see `dcgan.core.noise`.
        opset: of the ONNX files.
        inputs: of the served graph.
        outputs: of the served graph.
        files: every other file in the folder.
        golden: images for the self-test.
        parity: verdict for each file that computes images.
        producers: versions of the libraries that wrote the files.
        training: where the weights come from.
        metrics: measured figures.
    """

    schema_version: int
    name: str
    version: int
    description: str
    license: str
    image_size: int
    channels: int
    latent_size: int
    classes: int
    class_names: tuple[str, ...]
    noise_scheme: str
    opset: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    files: tuple[ModelFile, ...]
    golden: Golden
    parity: tuple[Parity, ...]
    producers: dict[str, str]
    training: Training
    metrics: tuple[Metric, ...] = ()

    def __post_init__(self) -> None:
        current = self.schema_version == SCHEMA_VERSION
        _check(
            current,
            f"schema version {self.schema_version} is not the known {SCHEMA_VERSION}; upgrade dcgan-zoo",
        )
        check_name(self.name)
        check_version(self.version)
        known = self.noise_scheme == noise.SCHEME
        _check(
            known,
            f"noise scheme {self.noise_scheme!r:.60} is not the known {noise.SCHEME!r}; upgrade dcgan-zoo",
        )
        _check(
            0 < self.latent_size <= _MOST_LATENTS, f"a latent size of {self.latent_size} is absurd"
        )
        _check(0 < self.image_size <= _MOST_PIXELS, f"an image size of {self.image_size} is absurd")
        _check(self.channels in (1, 3), f"images have {self.channels} channels, not 1 or 3")
        _check(0 <= self.classes <= 2**16, f"{self.classes} classes is absurd")
        named = len(self.class_names) in (0, self.classes)
        _check(named, f"there are {len(self.class_names)} class names for {self.classes} classes")
        labels = [image.label for image in self.golden.images if image.label is not None]
        _check(
            all(0 <= label < self.classes for label in labels),
            f"a golden image has none of its {self.classes} classes",
        )
        _check(
            all(verdict.passed for verdict in self.parity),
            "it holds a file that failed its parity gate",
        )
        self._check_files()
        _check(
            self.inputs == self.expected_inputs,
            "the inputs are not those of its latent size and classes",
        )
        _check(
            self.outputs == self.expected_outputs,
            "the outputs are not those of its image size and channels",
        )

    @property
    def expected_inputs(self) -> tuple[Tensor, ...]:
        """What the served graph must take."""
        z = Tensor(name="z", dtype="float32", shape=("batch", self.latent_size))
        return (z, Tensor(name="label", dtype="int64", shape=("batch",))) if self.classes else (z,)

    @property
    def expected_outputs(self) -> tuple[Tensor, ...]:
        """What the served graph must give."""
        shape = ("batch", self.image_size, self.image_size, self.channels)
        return (Tensor(name="images", dtype="uint8", shape=shape),)

    def file(self, role: str, precision: str | None = None) -> ModelFile | None:
        """The first file with that role, and that precision if one is named; None if there is none."""
        matches = (
            file for file in self.files if file.role == role and precision in (None, file.precision)
        )
        return next(matches, None)

    def _check_files(self) -> None:
        paths = [file.path for file in self.files]
        _check(len(set(paths)) == len(paths), f"it lists a file twice among {', '.join(paths)}")
        _check(FILE_NAME not in paths, "it lists itself")
        for path in [digest.path for digest in self.golden.digests] + [
            verdict.path for verdict in self.parity
        ]:
            _check(path in paths, f"it speaks of {path!r:.60}, which it does not list")


def check_name(name: str) -> None:
    """Checks the name of a model.

    Raises:
        ManifestError: if it is not 1 to 64 of a-z, 0-9, `.`, `_`, `-`, with a letter or digit at each end.
    """
    fits = _NAME.fullmatch(name) is not None and ".." not in name
    _check(
        fits,
        f"{name!r:.80} is no model name: use 1 to 64 of a-z, 0-9, '.', '_', '-', with a letter or digit at each end",
    )


def check_version(version: int) -> None:
    """Checks the version of a model.

    Raises:
        ManifestError: if it is not 1 to 2**31 - 1.
    """
    _check(0 < version < 2**31, f"version {version} is not 1 to 2147483647")


def _check(fits: bool, message: str) -> None:
    if not fits:
        raise ManifestError(message)
