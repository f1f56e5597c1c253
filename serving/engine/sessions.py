"""ONNX Runtime sessions for serving, checked against the manifest of the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcgan.core import onnx_session
from dcgan.core.onnx_session import SessionError
from dcgan.serving.errors import ServingError
from dcgan.zoo.manifest import Manifest

if TYPE_CHECKING:
    import onnxruntime as ort

_TYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "uint8": "tensor(uint8)"}


def open_session(
    path: Path,
    provider: str,
    options: ort.SessionOptions,
    provider_options: dict[str, str] | None = None,
    *,
    content: bytes | None = None,
) -> ort.InferenceSession:
    """Opens a session on one provider, without a fallback to another.

    Args:
        path: of the file, which is read unless its content is given.
        provider: execution provider.
        options: of the session.
        provider_options: of the provider.
        content: of the file.

    Raises:
        ServingError: if ONNX Runtime cannot load the file, or does not offer the provider.
    """
    try:
        return onnx_session.open_session(
            path if content is None else content,
            provider,
            name=str(path),
            options=options,
            provider_options=provider_options,
        )
    except SessionError as error:
        raise ServingError(
            f"{error}; check the installation of ONNX Runtime, or export the model again"
        ) from error


def check_signature(session: ort.InferenceSession, manifest: Manifest, path: Path) -> None:
    """Compares names, types and input shapes of a session with the manifest.

    The shape of the images is checked at warm-up.

    Raises:
        ServingError: if they differ.
    """
    inputs = [(value.name, value.type, _sizes(value.shape)) for value in session.get_inputs()]
    outputs = [(value.name, value.type) for value in session.get_outputs()]
    expected_inputs = [
        (each.name, _TYPES.get(each.dtype), _sizes(each.shape)) for each in manifest.inputs
    ]
    expected_outputs = [(each.name, _TYPES.get(each.dtype)) for each in manifest.outputs]

    if (inputs, outputs) != (expected_inputs, expected_outputs):
        raise ServingError(
            f"{path} takes {inputs} and returns {outputs}, but its manifest says {expected_inputs} "
            f"and {expected_outputs}; export the model again"
        )


def zero_inputs(
    manifest: Manifest, batch: int
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Returns inputs of zeros: z [batch, latent_size], and label [batch] if there are classes."""
    z = np.zeros((batch, manifest.latent_size), dtype=np.float32)
    label = np.zeros(batch, dtype=np.int64) if manifest.classes else None
    return z, label


def _sizes(shape: Sequence[int | str | None]) -> list[int | None]:
    """Returns a shape in which dynamic dimensions are None."""
    return [size if isinstance(size, int) else None for size in shape]
