"""`manifest.json`: the description of a released model.

Written by `dcgan.export`, read by `dcgan.zoo` and `dcgan.serving`. It holds no time and no path of
a machine, so that two exports of one run give the same bytes. `Manifest.__post_init__` checks the
rules between fields: every `Manifest` object is a valid one.
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
_MAX_FILE_BYTES = 2**31  # limit of protobuf, and so of ONNX
_MAX_LATENT_SIZE = 2**16
_MAX_IMAGE_SIZE = 2**12
_MAX_CLASSES = 2**16
_MAX_GOLDEN_IMAGES = 64


class ManifestError(DcganError):
    """A manifest that contradicts itself or the files beside it."""


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
        _check(
            self.role in ROLES,
            f"file {self.path!r:.60} has the role {self.role!r:.60}, not one of {', '.join(ROLES)}",
        )
        _check(
            _FILE.fullmatch(self.path) is not None,
            f"file name {self.path!r:.60} is not a plain name inside the folder",
        )
        _check(
            0 < self.bytes < _MAX_FILE_BYTES,
            f"{self.path} has a size of {self.bytes} bytes, not 1 to {_MAX_FILE_BYTES - 1}",
        )
        _check(
            _SHA256.fullmatch(self.sha256) is not None,
            f"{self.path} has no valid SHA-256: {self.sha256!r:.70}",
        )
        known = self.precision is None or self.precision in PRECISIONS
        _check(
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
        _check(inside, f"golden image ({self.seed}, {self.index}) is outside 0 to 2^64 - 1")


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
        _check(
            0 < n <= _MAX_GOLDEN_IMAGES,
            f"there are {n} golden images, not 1 to {_MAX_GOLDEN_IMAGES}",
        )


@dataclass(frozen=True, kw_only=True)
class RecipeChange:
    """A value that differs from the recipe, as JSON.

    Attributes:
        key: of the recipe, such as "generator.width".
        value: what the run used.
        recipe: what the recipe says.
    """

    key: str
    value: str
    recipe: str


@dataclass(frozen=True, kw_only=True)
class Training:
    """Origin of the weights.

    Attributes:
        recipe: name of the training recipe.
        data: description of the images.
        data_sha256: digest of the decoded images and labels.
        images_seen: real images shown to the discriminator, with repetitions.
        seed: of the run.
        hardware: description of the processor.
        commit: of this project, if known.
        steps: after which the weights were saved; None in manifests of the first release.
        planned_steps: of the run; fewer steps mean that it was stopped early.
        changes: every value that differs from the recipe; None if unknown.
    """

    recipe: str
    data: str
    data_sha256: str
    images_seen: int
    seed: int
    hardware: str
    commit: str | None = None
    steps: int | None = None
    planned_steps: int | None = None
    changes: tuple[RecipeChange, ...] | None = None

    @property
    def stopped_early(self) -> bool:
        """Whether the run is known to have ended before its last step."""
        known = self.steps is not None and self.planned_steps is not None
        return known and (self.steps or 0) < (self.planned_steps or 0)


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


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The description of a released model.

    Attributes:
        schema_version: of this document.
        name: lower-case letters, digits, `.`, `_`, `-`.
        version: counted from 1.
        description: of its images, in a sentence.
        license: SPDX identifier.
        image_size: height and width, in pixels.
        channels: 3 (RGB) or 1 (grey).
        latent_size: length of a latent vector.
        classes: number of classes, 0 without labels.
        class_names: one for each class, or empty.
        noise_scheme: see `dcgan.core.noise`.
        opset: of the ONNX files.
        inputs: of the served graph.
        outputs: of the served graph.
        files: all other files in the folder.
        golden: images for the self-test.
        parity: result for each file that computes images.
        producers: versions of the libraries that wrote the files.
        training: origin of the weights.
        metrics: measured values.
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
        _check(
            self.schema_version == SCHEMA_VERSION,
            f"schema version {self.schema_version} is not {SCHEMA_VERSION}; upgrade dcgan-zoo",
        )
        check_name(self.name)
        check_version(self.version)
        _check(
            self.noise_scheme == noise.SCHEME,
            f"noise scheme {self.noise_scheme!r:.60} is not {noise.SCHEME!r}; upgrade dcgan-zoo",
        )
        self._check_sizes()
        self._check_classes()
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
        """Inputs that the served graph must have."""
        z = Tensor(name="z", dtype="float32", shape=("batch", self.latent_size))
        label = Tensor(name="label", dtype="int64", shape=("batch",))
        return (z, label) if self.classes else (z,)

    @property
    def expected_outputs(self) -> tuple[Tensor, ...]:
        """Outputs that the served graph must have."""
        shape = ("batch", self.image_size, self.image_size, self.channels)
        return (Tensor(name="images", dtype="uint8", shape=shape),)

    def file(self, role: str, precision: str | None = None) -> ModelFile | None:
        """Returns the first file with a role, and a precision if one is named; None without one."""
        matches = (
            file for file in self.files if file.role == role and precision in (None, file.precision)
        )
        return next(matches, None)

    def _check_sizes(self) -> None:
        _check(
            0 < self.latent_size <= _MAX_LATENT_SIZE,
            f"the latent size is {self.latent_size}, not 1 to {_MAX_LATENT_SIZE}",
        )
        _check(
            0 < self.image_size <= _MAX_IMAGE_SIZE,
            f"the image size is {self.image_size}, not 1 to {_MAX_IMAGE_SIZE}",
        )
        _check(self.channels in (1, 3), f"images have {self.channels} channels, not 1 or 3")

    def _check_classes(self) -> None:
        _check(
            0 <= self.classes <= _MAX_CLASSES,
            f"there are {self.classes} classes, not 0 to {_MAX_CLASSES}",
        )
        _check(
            len(self.class_names) in (0, self.classes),
            f"there are {len(self.class_names)} class names for {self.classes} classes",
        )
        labels = [image.label for image in self.golden.images if image.label is not None]
        _check(
            all(0 <= label < self.classes for label in labels),
            f"a golden image has none of its {self.classes} classes",
        )

    def _check_files(self) -> None:
        _check(
            all(verdict.passed for verdict in self.parity),
            "it lists a file that failed its parity gate",
        )
        paths = [file.path for file in self.files]
        _check(len(set(paths)) == len(paths), f"it lists a file twice among {', '.join(paths)}")
        _check(FILE_NAME not in paths, "it lists itself")

        digests = [digest.path for digest in self.golden.digests]
        verdicts = [verdict.path for verdict in self.parity]
        for path in digests + verdicts:
            _check(path in paths, f"it refers to {path!r:.60}, which it does not list")


def check_name(name: str) -> None:
    """Checks the name of a model.

    Raises:
        ManifestError: if it is not 1 to 64 of a-z, 0-9, `.`, `_`, `-`, with a letter or digit at
            each end.
    """
    fits = _NAME.fullmatch(name) is not None and ".." not in name
    _check(
        fits,
        f"{name!r:.80} is no model name: use 1 to 64 of a-z, 0-9, '.', '_', '-', "
        "with a letter or digit at each end",
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
