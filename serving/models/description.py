"""The description of a served model, with the fields of `dcgan.v1.Model`."""

from __future__ import annotations

from typing import Any

from dcgan.serving.encoding.formats import ImageFormat
from dcgan.serving.models.served_model import ServedModel


def describe_model(model: ServedModel, *, is_default: bool) -> dict[str, Any]:
    """Returns what clients may know about a model, by the names of `dcgan.v1.Model`.

    The agreement is an `Agreement`, which gRPC and HTTP write in their own ways.
    """
    manifest = model.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "digest": model.file.sha256,
        "description": manifest.description,
        "license": manifest.license,
        "height": manifest.image_size,
        "width": manifest.image_size,
        "channels": manifest.channels,
        "latent_size": manifest.latent_size,
        "classes": manifest.classes,
        "class_names": list(manifest.class_names),
        "noise_scheme": manifest.noise_scheme,
        "precision": model.file.precision,
        "provider": model.provider,
        "agreement": model.agreement,
        "max_images_per_request": model.replies.max_images(ImageFormat.RGB8),
        "is_default": is_default,
    }
