"""TorchScript: the network traced, frozen and saved, with bytes that depend on the network alone.

TorchScript is deprecated in favour of `torch.export` and unsupported from Python 3.14 on. This is the only file of the
project that touches it, and the only one that silences its warnings, by their text.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch

from dcgan.export.graph.postprocess import Served, examples

FACTS = "dcgan.json"
"""Name of the extra file inside the archive that says what the model is."""

_METHODS = ("forward", "float_images")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip archive can hold
_MANGLED = re.compile(rb"___torch_mangle_\d+")


def write_torchscript(
    network: Served, path: Path, *, latent_size: int, facts: str, classes: int = 0
) -> None:
    """Traces `forward` (pixels) and `float_images`, freezes both, and saves them.

    Args:
        network: what to trace, in evaluation mode.
        path: the file to write.
        latent_size: length of a latent vector.
        facts: JSON document to embed.
        classes: number of classes, 0 without labels; both methods take `label` after `z` where there are any.
    """
    with _deprecation_silenced():
        # Without torch's own check, which runs the example once more: the parity gate runs the saved file on far more.
        traced = torch.jit.trace_module(  # type: ignore[no-untyped-call]
            network, dict.fromkeys(_METHODS, examples(latent_size, classes)), check_trace=False
        )
        frozen = torch.jit.freeze(traced, preserved_attrs=["float_images"])
        archive = io.BytesIO()
        torch.jit.save(frozen, archive, _extra_files={FACTS: facts})
    path.write_bytes(_reproducible(archive.getvalue()))


def read_torchscript(path: Path) -> torch.jit.ScriptModule:
    """Loads a file that `write_torchscript` wrote. It can run code: never load one from a stranger."""
    with _deprecation_silenced():
        return cast(torch.jit.ScriptModule, torch.jit.load(path, map_location="cpu"))  # type: ignore[no-untyped-call]


def _reproducible(archive: bytes) -> bytes:
    """Writes a TorchScript archive again without what varies between machines and processes.

    That is: where each line of Python stood (`.debug_pkl`), a digest of this (`serialization_id`), and a running
    number in class names. The stack of folders is `generator/`, whatever the file is called.
    """
    clean = io.BytesIO()
    numbers: dict[bytes, int] = {}

    def renumber(match: re.Match[bytes]) -> bytes:
        return b"dcgan_%d" % numbers.setdefault(match[0], len(numbers))

    with (
        zipfile.ZipFile(io.BytesIO(archive)) as source,
        zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as target,
    ):
        for entry in source.infolist():
            inside = entry.filename.partition("/")[2]
            if inside.endswith((".debug_pkl", "serialization_id")):
                continue
            code = inside.startswith("code/") or inside.endswith(".pkl")
            data = source.read(entry)
            name = _MANGLED.sub(renumber, f"generator/{inside}".encode()).decode()
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            target.writestr(info, _MANGLED.sub(renumber, data) if code else data)
    return clean.getvalue()


@contextmanager
def _deprecation_silenced() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"`torch\.jit\.(trace_method|trace|freeze|save|load)` is deprecated"
        )
        yield
