"""`generator.ts`: the network as TorchScript, with bytes that depend on the network alone.

TorchScript is deprecated in favour of `torch.export` and unsupported from Python 3.14 on. No other
file of the project touches it, and no other one silences its warnings.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch

from dcgan.export.errors import FailedRunError
from dcgan.export.graph.postprocess import PixelGenerator, example_inputs

METADATA_FILE = "dcgan.json"
"""Name of the extra file inside the archive that holds the manifest."""

_METHODS = ("forward", "float_images")
_WEIGHT_PREFIX = "network."
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip archive can hold
_MANGLED_CLASS = re.compile(rb"___torch_mangle_\d+")


def write_torchscript(
    generator: PixelGenerator, path: Path, *, latent_size: int, classes: int = 0, metadata: str
) -> None:
    """Traces `forward` (pixels) and `float_images`, and saves them.

    The weights stay parameters of the saved module, so that `.parameters()`, `.to()` and
    `.double()` work on it; `torch.jit.freeze` makes constants of them where that is wanted.

    Args:
        generator: what to trace, in evaluation mode.
        path: the file to write.
        latent_size: length of a latent vector.
        classes: number of classes, 0 without labels; with classes both methods take `label` after
            `z`.
        metadata: JSON document to embed.
    """
    methods = dict.fromkeys(_METHODS, example_inputs(latent_size, classes))
    archive = io.BytesIO()
    with _deprecation_silenced():
        # PyTorch numbers the classes of a trace from the second on. Trace twice, so that all
        # classes have a number, in the first export of a process as in every later one.
        _trace(generator, methods)
        traced = _trace(generator, methods)
        torch.jit.save(traced, archive, _extra_files={METADATA_FILE: metadata})
    path.write_bytes(_reproducible(archive.getvalue()))


def read_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Loads a TorchScript file. Loading can run code: call it on trusted files only.

    Raises:
        FailedRunError: if it cannot be loaded.
    """
    try:
        with _deprecation_silenced():
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # torch raises RuntimeError, ValueError and more
        raise FailedRunError(f"{path.name} cannot be loaded: {type(error).__name__}") from error
    return cast(torch.jit.ScriptModule, module)


def torchscript_weights(module: torch.jit.ScriptModule) -> dict[str, torch.Tensor]:
    """Returns the weights of a loaded module, named as in `FoldedGenerator.state_dict`.

    A frozen module, as release 0.1.0 wrote, has none: see `frozen_constants`.
    """
    return {
        name.removeprefix(_WEIGHT_PREFIX): weight.detach()
        for name, weight in module.named_parameters()
    }


def frozen_constants(module: torch.jit.ScriptModule) -> list[torch.Tensor]:
    """Returns the tensors, other than scalars, that a frozen module holds as constants."""
    nodes = module.graph.findAllNodes("prim::Constant", recurse=True)  # type: ignore[attr-defined]
    tensors = [
        node.t("value")
        for node in nodes
        if node.hasAttribute("value") and node.kindOf("value") == "t"
    ]
    return [tensor for tensor in tensors if tensor.ndim > 0]


def _trace(
    generator: PixelGenerator, methods: dict[str, tuple[torch.Tensor, ...]]
) -> torch.jit.ScriptModule:
    # Skip torch's own check of the trace: the parity gate runs the saved file on far more inputs.
    trace = cast(Callable[..., torch.jit.ScriptModule], torch.jit.trace_module)
    return trace(generator, methods, check_trace=False)


def _reproducible(archive: bytes) -> bytes:
    """Rewrites a TorchScript archive without what varies between machines and processes.

    Removed are the positions of Python source lines (`.debug_pkl`), a digest of them
    (`serialization_id`) and the traced inputs, which nothing reads. Class names are renumbered, and
    the root folder becomes `generator/`.
    """
    output = io.BytesIO()
    numbers: dict[bytes, int] = {}

    def renumber(match: re.Match[bytes]) -> bytes:
        return b"dcgan_%d" % numbers.setdefault(match[0], len(numbers))

    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as target,
    ):
        for entry in source.infolist():
            inner_name = entry.filename.partition("/")[2]
            is_debug = inner_name.endswith((".debug_pkl", "serialization_id"))
            if is_debug or inner_name.startswith("traced_inputs"):
                continue

            data = source.read(entry)
            if inner_name.startswith("code/") or inner_name.endswith(".pkl"):
                data = _MANGLED_CLASS.sub(renumber, data)
            name = _MANGLED_CLASS.sub(renumber, f"generator/{inner_name}".encode()).decode()
            target.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), data)
    return output.getvalue()


@contextmanager
def _deprecation_silenced() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore",
            message=r"`torch\.jit\.(trace_method|trace|freeze|save|load)` is "
            r"(deprecated|not supported in Python 3\.14)",
        )
        yield
