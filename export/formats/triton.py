"""A released model in a model repository of NVIDIA Triton: `<model>/config.pbtxt` and `<model>/<version>/model.onnx`.

Each ONNX file becomes a model of its own, for Triton has no notion of a precision: `photos`, `photos-int8`. Source of
the layout and of the fields: Triton's user guide ("Model Repository", "Model Configuration") and model_config.proto.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from dcgan.core.atomic import new_folder, write_file
from dcgan.zoo.manifest import Manifest, ModelFile, Tensor
from dcgan.zoo.repository import Release, RepositoryError

CONFIG = "config.pbtxt"
MODEL = "model.onnx"

_TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64", "uint8": "TYPE_UINT8"}
_KINDS = {
    "int8": "KIND_CPU",
    "fp16": "KIND_GPU",
}  # float32 runs where Triton finds the better place
_MOST_IMAGES = 64  # in a batch; it divides into the preferred sizes
_PREFERRED = (8, 16, 32, 64)
_WAIT_US = 500


def write_triton(release: Release, folder: Path, show: Callable[[str], None]) -> None:
    """Adds every ONNX file of a released model to a repository of Triton.

    Args:
        release: the model; its files are checked before they are copied.
        folder: the repository, which may hold other models and other versions of this one.
        show: prints lines to the user.

    Raises:
        RepositoryError: if a version exists, another version has another configuration, the folder cannot be written,
            or the release is damaged or has no ONNX file.
    """
    files = [file for file in release.manifest.files if file.role == "onnx"]
    if not files:
        raise RepositoryError(
            f"{release.folder} has no ONNX file for Triton; export it again with --onnx"
        )
    manifest = release.manifest
    for file in files:
        release.verify_file(file)
        _check_place(manifest, file, folder)
    for file in files:
        _write_model(release, file, folder)
        show(f"wrote {folder / model_name(manifest, file)}")


def check_free(folder: Path, name: str, version: int, precisions: Sequence[str | None]) -> None:
    """Checks, before a model is made, that its version can be added to a repository, in each of these precisions.

    Raises:
        RepositoryError: if it is there.
    """
    for precision in precisions:
        place = folder / _name(name, precision) / str(version)
        if place.exists():
            raise RepositoryError(
                f"{place} exists and is not overwritten; remove it, or choose another --triton folder"
            )


def model_name(manifest: Manifest, file: ModelFile) -> str:
    """What a file is called in Triton."""
    return _name(manifest.name, file.precision)


def config(manifest: Manifest, file: ModelFile) -> str:
    """The configuration of one file, in the text format of protocol buffers.

    `images` for a `z` of shape [batch, d], batched by Triton itself: an idle instance waits half a millisecond at most.
    """
    sizes = ", ".join(map(str, _PREFERRED))
    kind = _KINDS.get(file.precision or "fp32", "KIND_AUTO")
    return "\n".join(
        [
            f'name: "{model_name(manifest, file)}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {_MOST_IMAGES}",
            *(_tensor("input", tensor) for tensor in manifest.inputs),
            *(_tensor("output", tensor) for tensor in manifest.outputs),
            f"instance_group [ {{ count: 1 kind: {kind} }} ]",
            f"dynamic_batching {{ preferred_batch_size: [ {sizes} ] max_queue_delay_microseconds: {_WAIT_US} }}",
            "",
        ]
    )


def _tensor(side: str, tensor: Tensor) -> str:
    """One input or output without its batch axis; a number for each image has no axis left, which takes a reshape."""
    dims = ", ".join(map(str, tensor.shape[1:])) or "1"
    reshape = "" if tensor.shape[1:] else " reshape: { shape: [ ] }"
    return f'{side} [ {{ name: "{tensor.name}" data_type: {_TYPES[tensor.dtype]} dims: [ {dims} ]{reshape} }} ]'


def _name(name: str, precision: str | None) -> str:
    return name if precision in (None, "fp32") else f"{name}-{precision}"


def _check_place(manifest: Manifest, file: ModelFile, folder: Path) -> None:
    """Checks that a file can be added to a repository: its version is free, and others have the same configuration."""
    check_free(folder, manifest.name, manifest.version, [file.precision])
    model, text = folder / model_name(manifest, file), config(manifest, file)
    try:
        before = (model / CONFIG).read_text(encoding="utf-8") if (model / CONFIG).exists() else text
    except OSError as error:
        raise RepositoryError(f"cannot read {model / CONFIG}: {error.strerror}") from None
    if before != text:
        raise RepositoryError(
            f"{model / CONFIG} is of another model or was edited; choose another --triton folder"
        )


def _write_model(release: Release, file: ModelFile, folder: Path) -> None:
    """Writes the version first and the configuration last: Triton looks at a model once it has one."""
    manifest = release.manifest
    model, text = folder / model_name(manifest, file), config(manifest, file)
    version = model / str(manifest.version)
    try:
        with new_folder(version) as unfinished:
            shutil.copyfile(release.path(file), unfinished / MODEL)
        write_file(model / CONFIG, text.encode())
    except OSError as error:
        raise RepositoryError(
            f"cannot write {model}: {error.strerror}; choose another --triton folder"
        ) from None
