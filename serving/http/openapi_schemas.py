"""Schemas in the OpenAPI description: the JSON documents in responses."""

from __future__ import annotations

from typing import Any, TypeAlias

from dcgan.serving.http.problem import TABLE

Schema: TypeAlias = dict[str, Any]
"""An object of the OpenAPI document."""


def problem_schema() -> Schema:
    """Returns the schema of a problem document (RFC 9457)."""
    reasons = sorted(error.reason for error in TABLE)
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string", "enum": reasons},
            "request_id": {"type": "string"},
            "field": {"type": "string"},
            "retry_after_s": {"type": "number"},
        },
        "required": ["type", "title", "status", "detail", "reason"],
    }


def model_schema() -> Schema:
    """Returns the schema of the description of a model."""
    texts = (
        "name",
        "digest",
        "description",
        "license",
        "noise_scheme",
        "precision",
        "provider",
        "agreement",
        "address",
    )
    numbers = (
        "version",
        "height",
        "width",
        "channels",
        "latent_size",
        "classes",
        "max_images_per_request",
    )

    properties: Schema = {name: {"type": "string"} for name in texts}
    properties |= {name: {"type": "integer"} for name in numbers}
    properties["class_names"] = {"type": "array", "items": {"type": "string"}}
    properties["is_default"] = {"type": "boolean"}
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def pixels_schema() -> Schema:
    """Returns the schema of images as JSON; 64-bit numbers are strings."""
    return {
        "type": "object",
        "properties": {
            "seed": {"type": "string"},
            "index": {"type": "string"},
            "n": {"type": "integer"},
            "labels": {"type": ["array", "null"], "items": {"type": "integer"}},
            "truncation": {"type": "number"},
            "height": {"type": "integer"},
            "width": {"type": "integer"},
            "channels": {"type": "integer"},
            "pixels": {"type": "string", "contentEncoding": "base64"},
            "provenance": {"type": "object"},
        },
        "required": ["seed", "index", "n", "height", "width", "channels", "pixels", "provenance"],
    }
