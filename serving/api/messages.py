"""Descriptions of models as protobuf messages."""

from __future__ import annotations

from dcgan.serving.encoding.provenance import AGREEMENTS
from dcgan.serving.models.description import describe_model
from dcgan.serving.models.registry import ModelRegistry
from dcgan.serving.models.served_model import ServedModel
from dcgan.v1 import generator_pb2 as pb


def model_message(model: ServedModel, registry: ModelRegistry) -> pb.Model:
    """Returns the description of a model."""
    facts = describe_model(model, is_default=model is registry.default)
    facts["agreement"] = AGREEMENTS[model.agreement]
    return pb.Model(**facts)
