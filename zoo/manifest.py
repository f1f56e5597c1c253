"""`manifest.json`: the description of a released model.

Written by `dcgan.export`, read by `dcgan.zoo` and `dcgan.serving`. It holds no time and no path of
a machine, so that two exports of one run give the same bytes. `Manifest.__post_init__` checks the
rules between fields: every `Manifest` object is a valid one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dcgan.core import noise
from dcgan.core.origin import RecipeChange, Training
from dcgan.core.text import printable
from dcgan.zoo.manifest_entries import (
    PRECISIONS,
    ROLES,
    Golden,
    GoldenDigest,
    GoldenImage,
    ManifestError,
    Metric,
    ModelFile,
    Parity,
    Tensor,
    Thresholds,
    check,
)

__all__ = [
    "FILE_NAME",
    "PRECISIONS",
    "ROLES",
    "SCHEMA_VERSION",
    "Golden",
    "GoldenDigest",
    "GoldenImage",
    "Manifest",
    "ManifestError",
    "Metric",
    "ModelFile",
    "Parity",
    "RecipeChange",
    "Tensor",
    "Thresholds",
    "Training",
    "check_name",
    "check_version",
]

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"

MAX_FILES = 1000
"""Most files of a model."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_MAX_LATENT_SIZE = 2**16
_MAX_IMAGE_SIZE = 2**12
_MAX_CLASSES = 2**16


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
        check(
            self.schema_version == SCHEMA_VERSION,
            f"schema version {self.schema_version} is not {SCHEMA_VERSION}; upgrade dcgan-zoo",
        )
        check_name(self.name)
        check_version(self.version)
        check(
            self.noise_scheme == noise.SCHEME,
            f"noise scheme {self.noise_scheme!r:.60} is not {noise.SCHEME!r}; upgrade dcgan-zoo",
        )

        self._check_sizes()
        self._check_classes()
        self._check_files()

        check(
            self.inputs == self.expected_inputs,
            "the inputs are not those of its latent size and classes",
        )
        check(
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
        check(
            0 < self.latent_size <= _MAX_LATENT_SIZE,
            f"the latent size is {self.latent_size}, not 1 to {_MAX_LATENT_SIZE}",
        )
        check(
            0 < self.image_size <= _MAX_IMAGE_SIZE,
            f"the image size is {self.image_size}, not 1 to {_MAX_IMAGE_SIZE}",
        )
        check(self.channels in (1, 3), f"images have {self.channels} channels, not 1 or 3")

    def _check_classes(self) -> None:
        check(
            0 <= self.classes <= _MAX_CLASSES,
            f"there are {self.classes} classes, not 0 to {_MAX_CLASSES}",
        )
        check(
            len(self.class_names) in (0, self.classes),
            f"there are {len(self.class_names)} class names for {self.classes} classes",
        )
        labels = [image.label for image in self.golden.images if image.label is not None]
        check(
            all(0 <= label < self.classes for label in labels),
            f"a golden image has none of its {self.classes} classes",
        )

    def _check_files(self) -> None:
        check(
            all(verdict.passed for verdict in self.parity),
            "it lists a file that failed its parity gate",
        )
        check(
            len(self.files) <= MAX_FILES,
            f"it lists {len(self.files)} files, and {MAX_FILES} are allowed",
        )
        paths = [file.path for file in self.files]
        check(
            len(set(paths)) == len(paths),
            f"it lists a file twice among {printable(', '.join(paths))}",
        )
        check(FILE_NAME not in paths, "it lists itself")

        digests = [digest.path for digest in self.golden.digests]
        verdicts = [verdict.path for verdict in self.parity]
        for path in digests + verdicts:
            check(path in paths, f"it refers to {path!r:.60}, which it does not list")


def check_name(name: str) -> None:
    """Checks the name of a model.

    Raises:
        ManifestError: if it is not 1 to 64 of a-z, 0-9, `.`, `_`, `-`, with a letter or digit at
            each end.
    """
    fits = _NAME.fullmatch(name) is not None and ".." not in name
    check(
        fits,
        f"{name!r:.80} is not a model name: use 1 to 64 of a-z, 0-9, '.', '_', '-', "
        "with a letter or digit at each end",
    )


def check_version(version: int) -> None:
    """Checks the version of a model.

    Raises:
        ManifestError: if it is not 1 to 2**31 - 1.
    """
    check(0 < version < 2**31, f"version {version} is not 1 to 2147483647")
