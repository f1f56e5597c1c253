"""ONNX Runtime sessions for verification: on the given execution provider, or a parity error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan.core import onnx_session
from dcgan.core.onnx_session import SessionError
from dcgan.export.errors import WrongProviderError

if TYPE_CHECKING:
    import onnxruntime as ort


def open_session(model: bytes, provider: str, name: str) -> ort.InferenceSession:
    """Opens a session on one provider and no other; see `dcgan.core.onnx_session.open_session`.

    Raises:
        WrongProviderError: if the provider cannot run the model, or not all of it.
    """
    try:
        return onnx_session.open_session(model, provider, name=name)
    except SessionError as error:
        raise WrongProviderError(str(error)) from error
