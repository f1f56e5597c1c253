"""Descriptions of models as protobuf messages."""

from __future__ import annotations

from dcgan.serving.encoding.formats import ImageFormat
from dcgan.serving.encoding.provenance import AGREEMENTS
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.served_model import ServedModel
from dcgan.v1 import generator_pb2 as pb


def model_message(model: ServedModel, registry: ModelRegistry) -> pb.Model:
    """Returns the description of a model."""
    manifest = model.manifest
    return pb.Model(
        name=manifest.name,
        version=manifest.version,
        digest=model.file.sha256,
        description=manifest.description,
        license=manifest.license,
        height=manifest.image_size,
        width=manifest.image_size,
        channels=manifest.channels,
        latent_size=manifest.latent_size,
        classes=manifest.classes,
        class_names=manifest.class_names,
        noise_scheme=manifest.noise_scheme,
        precision=model.file.precision,
        provider=model.provider,
        agreement=AGREEMENTS[model.agreement],
        max_images_per_request=model.replies.max_images(ImageFormat.RGB8),
        is_default=model is registry.default,
    )
