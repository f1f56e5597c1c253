"""Files of a released model in a model repository of NVIDIA Triton.

The layout is `<model>/config.pbtxt` and `<model>/<version>/model.onnx`. Each ONNX file becomes a
model of its own, because Triton has no notion of a precision: `photos`, `photos-int8`. Source of
the layout and of the fields: Triton's user guide ("Model Repository", "Model Configuration") and
model_config.proto.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from dcgan.core.atomic import new_folder, write_file
from dcgan.zoo.manifest import Manifest, ModelFile, Tensor
from dcgan.zoo.release import Release, RepositoryError

CONFIG = "config.pbtxt"
MODEL = "model.onnx"

_TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64", "uint8": "TYPE_UINT8"}
_KINDS = {"int8": "KIND_CPU", "fp16": "KIND_GPU"}  # Triton chooses for float32
_MAX_BATCH = 64
_PREFERRED_BATCHES = (8, 16, 32, 64)
_MAX_QUEUE_DELAY_US = 500


def write_triton(release: Release, folder: Path, show: Callable[[str], None]) -> None:
    """Adds every ONNX file of a released model to a Triton repository.

    Args:
        release: the model; its files are verified before they are copied.
        folder: the repository, which may hold other models and other versions of this one.
        show: prints lines to the user.

    Raises:
        RepositoryError: if a version exists, another version has another configuration, the folder
            cannot be written, or the release is damaged or has no ONNX file.
    """
    manifest = release.manifest
    files = [file for file in manifest.files if file.role == "onnx"]
    if not files:
        raise RepositoryError(
            f"{release.folder} has no ONNX file for Triton; export it again with --onnx"
        )

    # Check every file before copying the first.
    for file in files:
        release.verify_file(file)
        check_free(folder, manifest.name, manifest.version, [file.precision])
        _check_same_config(manifest, file, folder)

    for file in files:
        _copy_model(release, file, folder)
        show(f"wrote {folder / model_name(manifest, file)}")


def check_free(folder: Path, name: str, version: int, precisions: Sequence[str | None]) -> None:
    """Checks that a version of a model can be added to a repository in each of these precisions.

    Raises:
        RepositoryError: if it is there.
    """
    for precision in precisions:
        place = folder / _name(name, precision) / str(version)
        if place.exists():
            raise RepositoryError(
                f"{place} exists and is not overwritten; "
                "remove it, or choose another --triton folder"
            )


def model_name(manifest: Manifest, file: ModelFile) -> str:
    """Returns the name of a file's model in Triton."""
    return _name(manifest.name, file.precision)


def config(manifest: Manifest, file: ModelFile) -> str:
    """Returns the configuration of one file, in the text format of protocol buffers.

    Triton batches requests itself; an idle instance waits half a millisecond at most.
    """
    batch_sizes = ", ".join(map(str, _PREFERRED_BATCHES))
    kind = _KINDS.get(file.precision or "fp32", "KIND_AUTO")
    lines = [
        f'name: "{model_name(manifest, file)}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {_MAX_BATCH}",
        *(_tensor("input", tensor) for tensor in manifest.inputs),
        *(_tensor("output", tensor) for tensor in manifest.outputs),
        f"instance_group [ {{ count: 1 kind: {kind} }} ]",
        f"dynamic_batching {{ preferred_batch_size: [ {batch_sizes} ] "
        f"max_queue_delay_microseconds: {_MAX_QUEUE_DELAY_US} }}",
    ]
    return "\n".join(lines) + "\n"


def _tensor(side: str, tensor: Tensor) -> str:
    """Returns one input or output without its batch axis.

    A scalar per image, such as a label, has no axis left; Triton needs a reshape for it.
    """
    dims = ", ".join(map(str, tensor.shape[1:])) or "1"
    reshape = "" if tensor.shape[1:] else " reshape: { shape: [ ] }"
    dtype = _TYPES[tensor.dtype]
    return f'{side} [ {{ name: "{tensor.name}" data_type: {dtype} dims: [ {dims} ]{reshape} }} ]'


def _name(name: str, precision: str | None) -> str:
    return name if precision in (None, "fp32") else f"{name}-{precision}"


def _check_same_config(manifest: Manifest, file: ModelFile, folder: Path) -> None:
    """Checks that the configuration of a model that is there is the one that would be written."""
    path = folder / model_name(manifest, file) / CONFIG
    try:
        if not path.exists():
            return
        existing = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RepositoryError(f"cannot read {path}: {error.strerror}") from None
    if existing != config(manifest, file):
        raise RepositoryError(
            f"{path} is of another model or was edited; choose another --triton folder"
        )


def _copy_model(release: Release, file: ModelFile, folder: Path) -> None:
    """Writes the version first and the configuration last: Triton loads a model once it has one."""
    manifest = release.manifest
    model = folder / model_name(manifest, file)
    try:
        with new_folder(model / str(manifest.version)) as version:
            shutil.copyfile(release.path(file), version / MODEL)
        write_file(model / CONFIG, config(manifest, file).encode())
    except OSError as error:
        raise RepositoryError(
            f"cannot write {model}: {error.strerror}; choose another --triton folder"
        ) from None
