"""ONNX Runtime sessions for verification: on the given execution provider, or a parity error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan.core import onnx_session
from dcgan.core.onnx_session import CUDA, SessionError, cuda_options, session_options
from dcgan.export.errors import WrongProviderError

if TYPE_CHECKING:
    import onnxruntime as ort


def open_session(
    model: bytes, provider: str, name: str, precision: str = "fp32"
) -> ort.InferenceSession:
    """Opens a session as the server does: on one provider and no other, with the same options.

    Raises:
        WrongProviderError: if the provider cannot run the model, or not all of it.
    """
    # Threads that spin would take processors from those that run other batches.
    options = session_options(spinning=False)
    chosen = cuda_options(precision) if provider == CUDA else None
    try:
        return onnx_session.open_session(
            model, provider, name=name, options=options, provider_options=chosen
        )
    except SessionError as error:
        raise WrongProviderError(str(error)) from error
