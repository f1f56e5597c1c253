"""The description of a model as JSON."""

from __future__ import annotations

from dcgan.serving.encoding.formats import ImageFormat
from dcgan.serving.models.served_model import ServedModel


def describe_model(model: ServedModel, *, is_default: bool) -> dict[str, object]:
    """Returns the description of a model, with the names of `dcgan.v1.Model` and its address."""
    manifest = model.manifest
    return {
        "name": model.name,
        "version": model.version,
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
        "agreement": model.agreement.value,
        "max_images_per_request": model.replies.max_images(ImageFormat.RGB8),
        "is_default": is_default,
        "address": f"/v1/models/{model.name}/{model.version}",
    }
