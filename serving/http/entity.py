"""Header fields of pictures: caching, and where a picture comes from."""

from __future__ import annotations

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


def provenance_headers(model: ServedModel) -> dict[str, str]:
    """Returns the header fields that say which model and provider generated an image."""
    return {
        "x-model-name": model.name,
        "x-model-version": str(model.version),
        "x-model-digest": model.file.sha256,
        "x-noise-scheme": model.manifest.noise_scheme,
        "x-provider": model.provider,
        "x-agreement": model.agreement.value,
    }
