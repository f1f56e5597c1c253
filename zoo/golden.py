"""Golden images: a few images whose pixels are published with a model, for a server's self-test.

Equal digests mean that this machine reproduces the model byte for byte. A difference of one grey
level is close: the model is served, and replies say so. A larger difference is another function,
and the model is not served.
"""

from __future__ import annotations

import hashlib
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.core.bounded import read_bounded
from dcgan.core.images import Pixels, decode_png, encode_png, tile, untile
from dcgan.zoo.manifest import Golden, Manifest
from dcgan.zoo.release import Release, RepositoryError

MAX_LEVELS = 1
"""Largest difference of golden pixels across providers and processor families, in grey levels."""

_MAX_BYTES = 2**28  # of the picture


class Agreement(Enum):
    """How closely a machine reproduces the golden images."""

    EXACT = "exact"
    CLOSE = "close"
    DIFFERENT = "different"


def golden_latents(golden: Golden, latent_size: int) -> NDArray[np.float32]:
    """Returns the latent vectors of the golden images, float32 [k, d]."""
    return np.concatenate(
        [noise.latents(image.seed, image.index, 1, latent_size) for image in golden.images]
    )


def golden_labels(golden: Golden) -> NDArray[np.int64]:
    """Returns the labels of the golden images, int64 [k]; 0 for an image without a label."""
    return np.array([image.label or 0 for image in golden.images], dtype=np.int64)


def golden_digest(images: Pixels) -> str:
    """Returns the SHA-256 of golden pixels [k, H, W, C], in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def encode_golden(images: Pixels) -> bytes:
    """Encodes golden pixels [k, H, W, C] as one PNG, side by side."""
    return encode_png(tile(images, columns=len(images)))


def read_golden(release: Release) -> Pixels:
    """Reads the published golden pixels, uint8 [k, H, W, C].

    Raises:
        RepositoryError: if the picture is missing, corrupt, or of another size than in the
            manifest.
    """
    manifest = release.manifest
    file = manifest.file("golden")
    k = len(manifest.golden.images)
    if file is None:
        raise RepositoryError(f"{release.folder} has no golden picture; export the model again")

    release.verify_file(file)
    try:
        images = untile(decode_png(read_bounded(release.path(file), _MAX_BYTES)), k, columns=k)
    except OSError as error:
        raise RepositoryError(f"cannot read {release.path(file)}: {error.strerror}") from None
    except ValueError as error:
        raise RepositoryError(f"{release.path(file)} is damaged: {error}") from None

    if images.shape[1:] != (manifest.image_size, manifest.image_size, manifest.channels):
        raise RepositoryError(f"{release.path(file)} does not hold {k} images of the model's size")
    return images


def published_digest(
    manifest: Manifest, path: str, provider: str, processor: str, batch_size: int | None = None
) -> str | None:
    """Returns the digest published for one file on one provider and processor family.

    Args:
        manifest: of the model.
        path: of the file in the model folder.
        provider: execution provider of ONNX Runtime.
        processor: family of the processor.
        batch_size: images in every batch, where the pixels depend on it, as on CUDA.

    Returns:
        The digest; None if none was published for exactly this.
    """
    wanted = (path, provider, processor, batch_size)
    for digest in manifest.golden.digests:
        if (digest.path, digest.provider, digest.processor, digest.batch_size) == wanted:
            return digest.sha256
    return None


def compare(images: Pixels, published: Pixels, digest: str | None) -> Agreement:
    """Compares golden images [k, H, W, C] with the published pixels and digest.

    Args:
        images: made on this machine.
        published: from the model folder.
        digest: published for this provider and processor family, if there is one.
    """
    if digest is not None and golden_digest(images) == digest:
        return Agreement.EXACT
    levels = np.abs(images.astype(np.int16) - published.astype(np.int16)).max()
    return Agreement.CLOSE if levels <= MAX_LEVELS else Agreement.DIFFERENT
