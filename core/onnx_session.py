"""ONNX Runtime: sessions, options and execution providers. No other module imports the library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.core.cuda_driver import count_gpus
from dcgan.core.errors import DcganError
from dcgan.core.text import first_line

if TYPE_CHECKING:
    import onnxruntime as ort

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

DEFAULT_CUDA_BATCH_SIZE = 256
"""Batch size on CUDA. On an H100, 256 served 1.6 times as many images as 64 (docs/adr/0004)."""

# Levels of ONNX Runtime's log. Errors are raised as exceptions, so they need not be printed.
_WARNING = 2
_FATAL = 4


class SessionError(DcganError):
    """ONNX Runtime cannot run a model on the requested execution provider."""


class _Log:
    """The level of the messages that ONNX Runtime prints, in this process."""

    severity = _FATAL


def show_messages() -> None:
    """Lets ONNX Runtime print its warnings: on CUDA, hundreds of lines for each new batch size."""
    _Log.severity = _WARNING


def load_onnxruntime() -> Any:  # noqa: ANN401 - the library has no types
    """Imports ONNX Runtime with its telemetry turned off.

    Every other module calls this function instead of importing the library. Telemetry, and a
    machine identifier in the user's cache folder, can only be refused before the first import. If
    the user has set ORT_DISABLE_TELEMETRY, its value is kept.

    Returns:
        The module `onnxruntime`.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

    import onnxruntime  # noqa: PLC0415 - takes half a second and must not happen on --help

    onnxruntime.set_default_logger_severity(_Log.severity)
    return onnxruntime


def session_options(
    *, intra_op_threads: int = 0, spinning: bool | None = None
) -> ort.SessionOptions:
    """Returns the session options that all sessions of this project share.

    Args:
        intra_op_threads: threads that work on one operator; 0 for one per core.
        spinning: whether idle threads spin instead of sleeping; None for ONNX Runtime's default.
    """
    options = load_onnxruntime().SessionOptions()
    options.log_severity_level = _Log.severity
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = intra_op_threads

    if spinning is not None:
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return options


def run_options() -> ort.RunOptions:
    """Returns options of one run; setting `terminate` on them stops that run at its next node."""
    return load_onnxruntime().RunOptions()


def cuda_options(precision: str, device_id: int = 0, *, graphs: bool = False) -> dict[str, str]:
    """Returns the options of the CUDA provider, the same in the parity gate and in the server.

    HEURISTIC chooses kernels without timing them, and so the same ones after each start. TF32 would
    round the factors of float32 products to 10 bits. Channels-last kernels are faster in float16:
    1.3 times at batch 256 on an H100.

    Args:
        precision: of the model file, e.g. "fp32".
        device_id: number of the GPU.
        graphs: whether the second run is captured as a CUDA graph.
    """
    options = {
        "device_id": str(device_id),
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
    }

    if precision == "fp16":
        options["prefer_nhwc"] = "1"
    if graphs:
        options["enable_cuda_graph"] = "1"
    return options


def open_session(
    model: Path | bytes,
    provider: str,
    *,
    name: str | None = None,
    options: ort.SessionOptions | None = None,
    provider_options: dict[str, str] | None = None,
) -> ort.InferenceSession:
    """Opens a session on one execution provider and on no other.

    Without these settings ONNX Runtime silently falls back to the CPU, for single nodes or for the
    whole graph.

    Args:
        model: path of an ONNX file, or its content.
        provider: e.g. `CPU` or `CUDA`.
        name: what to call the model in errors; its path by default.
        options: from `session_options`, whose defaults are used otherwise.
        provider_options: from `cuda_options`; for CUDA only, those of float32 by default.

    Raises:
        SessionError: if the provider cannot run the model, or not all of it.
    """
    name = name or (str(model) if isinstance(model, Path) else "the model")
    content = str(model) if isinstance(model, Path) else model
    options = options or session_options()

    if provider != CPU:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    chosen: str | tuple[str, dict[str, str]] = provider
    if provider == CUDA:
        chosen = (provider, provider_options or cuda_options("fp32"))

    try:
        session = load_onnxruntime().InferenceSession(
            content, options, providers=[chosen], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise SessionError(
            f"ONNX Runtime cannot load {name} on {provider}: {first_line(error)}"
        ) from error

    opened = session.get_providers()[0]
    if opened != provider:
        raise SessionError(f"ONNX Runtime opened {name} on {opened} instead of {provider}")
    return session


def available_providers() -> list[str]:
    """Returns the execution providers that work on this machine: the CPU, and CUDA with a GPU."""
    cuda = CUDA in load_onnxruntime().get_available_providers() and count_gpus() > 0
    return [CPU, CUDA] if cuda else [CPU]
