"""Strong entity tags of pictures, and the header fields that tell where a picture comes from."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from dcgan.core.hardware import processor_family
from dcgan.serving.http.pictures import ENCODERS
from dcgan.serving.models.served_model import ServedModel

IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of a versioned address: its content never changes."""

PROVENANCE_FIELDS = (
    "X-Model-Name",
    "X-Model-Version",
    "X-Model-Digest",
    "X-Noise-Scheme",
    "X-Provider",
    "X-Agreement",
    "X-Image-Seed",
    "X-Image-Index",
    "X-Image-Label",
)


def entity_tag(model: ServedModel, *parts: object) -> str:
    """Returns a strong entity tag, with its quotes.

    Equal tags mean equal bytes. That holds between replicas with the same execution provider,
    processor family and, on CUDA, batch size; others differ by up to one grey level, and so have
    other tags.

    Args:
        model: that draws.
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
    digest = hashlib.sha256("\n".join(material).encode()).digest()
    return f'"{base64.urlsafe_b64encode(digest[:18]).decode()}"'


def content_tag(content: bytes) -> str:
    """Returns a strong entity tag of a document, with its quotes."""
    digest = hashlib.sha256(content).digest()
    return f'"{base64.urlsafe_b64encode(digest[:18]).decode()}"'


def provenance_headers(model: ServedModel) -> dict[str, str]:
    """Returns the header fields that tell which model draws, and on what."""
    return {
        "x-model-name": model.name,
        "x-model-version": str(model.version),
        "x-model-digest": model.file.sha256,
        "x-noise-scheme": model.manifest.noise_scheme,
        "x-provider": model.provider,
        "x-agreement": model.agreement.value,
    }


@cache
def _family(provider: str) -> str:
    return processor_family(provider)
