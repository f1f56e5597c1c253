"""What a request asks for, checked: from here on every value is inside its range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dcgan.core import noise
from dcgan.serving.api.errors import invalid_field
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.scheduling.job import Latents
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.manifest import Manifest

SeedRequest: TypeAlias = pb.GenerateRequest | pb.GenerateStreamRequest
AnyRequest: TypeAlias = SeedRequest | pb.InterpolateRequest

_FORMATS = {number: name for name, number in pb.ImageFormat.items()}


@dataclass(frozen=True)
class Work:
    """Images to be made.

    Attributes:
        model: which makes them.
        n: how many.
        offset: index of the first, as the reply numbers them.
        image_format: how they are written.
        draw: makes the latent vectors of images `start` to `start + count - 1` of these n.
    """

    model: ServedModel
    n: int
    offset: int
    image_format: pb.ImageFormat
    draw: Callable[[int, int], Latents]


def read_seed_request(request: SeedRequest, model: ServedModel, most: int) -> Work:
    """Checks a request for images of one seed.

    Args:
        request: as it came.
        model: which it means.
        most: how many images it may ask for.

    Raises:
        Refusal: names the first field that is outside its range.
    """
    n = request.n if request.HasField("n") else 1
    if not 0 < n <= most:
        cure = "; ask GenerateStream for more" if n > most else ""
        raise invalid_field("n", f"must be 1 to {most} for this model and format, not {n}{cure}")
    if request.offset > noise.INDEX_LIMIT - n:
        raise invalid_field("offset", f"must be at most 2^64 - n, not {request.offset}")
    manifest = model.manifest
    label, psi, image_format = _read_common(request, manifest)

    def draw(start: int, count: int) -> Latents:
        first = request.offset + start
        z = noise.latents(request.seed, first, count, manifest.latent_size)
        if not manifest.classes:
            return Latents(_scale(z, psi))
        labels = (
            noise.labels(first, count, manifest.classes) if label is None else np.full(count, label)
        )
        return Latents(_scale(z, psi), labels)

    return Work(model, n, request.offset, image_format, draw)


def read_walk_request(request: pb.InterpolateRequest, model: ServedModel) -> Work:
    """Checks a request for a walk between two seeds.

    Raises:
        Refusal: names the first field that is outside its range.
    """
    steps = request.steps
    if steps < 2:
        raise invalid_field("steps", f"must be 2 to 2^32 - 1, not {steps}")
    manifest = model.manifest
    label, psi, image_format = _read_common(request, manifest)
    start_z, end_z = (
        noise.latents(seed, 0, 1, manifest.latent_size)[0]
        for seed in (request.seed_a, request.seed_b)
    )

    def draw(start: int, count: int) -> Latents:
        positions = np.arange(start, start + count) / (steps - 1)
        z = _scale(noise.interpolate(start_z, end_z, positions), psi)
        return Latents(z, np.full(count, label or 0) if manifest.classes else None)

    return Work(model, steps, 0, image_format, draw)


def _read_common(
    request: AnyRequest, manifest: Manifest
) -> tuple[int | None, float, pb.ImageFormat]:
    label = request.label if request.HasField("label") else None
    if label is not None and not manifest.classes:
        raise invalid_field("label", f"must be unset: model {manifest.name} has no labels")
    if label is not None and label >= manifest.classes:
        raise invalid_field("label", f"must be 0 to {manifest.classes - 1}, not {label}")
    psi = request.truncation if request.HasField("truncation") else 1.0
    if not (math.isfinite(psi) and 0 < psi <= 1):
        raise invalid_field("truncation", f"must be above 0 and at most 1, not {psi:.6g}")
    if request.format not in _FORMATS:
        known = ", ".join(_FORMATS.values())
        raise invalid_field("format", f"must be one of {known}, not number {request.format}")
    return label, psi, request.format


def _scale(z: np.typing.NDArray[np.float32], psi: float) -> np.typing.NDArray[np.float32]:
    return z if psi == 1.0 else z * np.float32(psi)
