"""Strong entity tags of encoded images: equal tags mean equal bytes."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

import PIL
from PIL import features

from dcgan.core.hardware import processor_family
from dcgan.core.picture_files import GIF_REVISION
from dcgan.serving.models.served_model import ServedModel

ENCODERS = "pillow {} zlib {} webp {}".format(
    PIL.__version__, features.version("zlib"), features.version("webp")
)
"""Versions of the libraries that decide the bytes of a file; part of every entity tag."""


def entity_tag(model: ServedModel, *parts: object) -> str:
    """Returns a strong entity tag, with its quotes.

    Equal tags mean equal bytes. That holds between replicas with the same execution provider,
    processor family and, on CUDA, batch size; others differ by up to one grey level, and so have
    other tags.

    Args:
        model: that generates.
        parts: everything else that the bytes depend on.
    """
    material = (
        model.file.sha256,
        model.manifest.noise_scheme,
        model.provider,
        _family(model.provider),
        str(model.batch_size),
        ENCODERS,
        *map(str, parts),
    )
    return content_tag("\n".join(material).encode())


def image_tag(
    model: ServedModel,
    seed: int,
    index: int,
    *,
    label: int | None,
    truncation: float,
    size: int | None = None,
    extension: str = "png",
) -> str:
    """Returns the entity tag of one image as a file.

    Args:
        model: that generates.
        seed: of the image.
        index: of the image.
        label: class of the image; None for the default.
        truncation: psi, a float32.
        size: height and width; None for those of the model.
        extension: of the file.
    """
    classes = model.manifest.classes
    if classes and label is None:
        label = index % classes
    look = (label, truncation.hex(), size)
    return entity_tag(model, "image", seed, index, *look, *file_parts(model, extension))


def file_parts(model: ServedModel, extension: str) -> tuple[object, ...]:
    """Returns what the kind of file adds to an entity tag.

    JSON names its origin, and two releases may have the same ONNX file.
    """
    if extension == "gif":
        return extension, GIF_REVISION
    if extension != "json":
        return (extension,)
    return extension, model.name, model.version, model.agreement.value


def content_tag(content: bytes) -> str:
    """Returns a strong entity tag of a document, with its quotes."""
    digest = hashlib.sha256(content).digest()
    return f'"{base64.urlsafe_b64encode(digest[:18]).decode()}"'


@cache
def _family(provider: str) -> str:
    return processor_family(provider)
