"""The cache of decoded images on disk, from which runs map them into memory.

Each source and size has a folder in DCGAN_HOME/data/decoded with the pixels of all images, their
labels and a few facts. It is written once and atomically. As the images are mapped, a data set may
be larger than memory.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import PIL

from dcgan.core.atomic import new_folder, remove_leftovers
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import cache_dir
from dcgan.core.schema import SchemaError, dump_json, parse_json
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import (
    DecodeConfig,
    DecodeResult,
    Progress,
    decode_images,
    decode_to_memory,
    make_dataset,
)
from dcgan.training.data.source import ImageSource
from dcgan.training.errors import TrainingError

_PIXELS = "pixels.bin"
_LABELS = "labels.npy"
_FACTS = "facts.json"

# Counts changes of how images are decoded.
_VERSION = 4


@dataclass(frozen=True, kw_only=True)
class _Facts:
    shape: tuple[int, ...]
    sha256: str
    corrupt: tuple[str, ...]
    notes: tuple[str, ...]


def load_dataset(source: ImageSource, config: DecodeConfig, progress: Progress) -> Dataset:
    """Returns the decoded images of a source, and decodes them if no process has done so before.

    Raises:
        TrainingError: if an image cannot be used (see `decode_images`), or the disk reports an
            error.
    """
    if source.key is None:
        return decode_to_memory(source, config, progress)

    folder = _cache_folder(source.key, config)
    with wait_for_lock(folder.with_suffix(".lock"), "decode the same images"):
        cached = _read(source, folder)
        if cached is not None:
            return cached
        return _decode(source, config, progress, folder)


def _cache_folder(key: str, config: DecodeConfig) -> Path:
    words = [_VERSION, PIL.__version__, key, *astuple(config)]
    digest = hashlib.sha256(json.dumps(words).encode()).hexdigest()
    return cache_dir() / "data" / "decoded" / digest[:32]


def _decode(source: ImageSource, config: DecodeConfig, progress: Progress, folder: Path) -> Dataset:
    try:
        remove_leftovers(folder.parent, folder.name)  # of a process that was killed
        with new_folder(folder) as staging:
            with (staging / _PIXELS).open("wb") as file:
                result = decode_images(source, config, progress, file.write)
            dataset = make_dataset(source, _map(staging, result.shape), result)
            _write_facts(staging, dataset, result)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise TrainingError(
            f"cannot keep the decoded images in {folder.parent}: {error.strerror}; free some space "
            "or set DCGAN_HOME"
        ) from None
    return replace(dataset, images=_map(folder, result.shape))


def _write_facts(folder: Path, dataset: Dataset, result: DecodeResult) -> None:
    if result.labels is not None:
        np.save(folder / _LABELS, result.labels)
    facts = _Facts(
        shape=result.shape, sha256=dataset.sha256, corrupt=result.corrupt, notes=result.notes
    )
    (folder / _FACTS).write_text(dump_json(facts), encoding="utf-8")


def _read(source: ImageSource, folder: Path) -> Dataset | None:
    """Reads a cached data set; returns None if there is none, or it is damaged."""
    try:
        facts = parse_json(_Facts, (folder / _FACTS).read_text(encoding="utf-8"), _FACTS)
        labels = None
        if source.labels is not None:
            labels = np.load(folder / _LABELS, allow_pickle=False)
        result = DecodeResult(
            shape=cast(tuple[int, int, int, int], facts.shape),
            labels=labels,
            corrupt=facts.corrupt,
            notes=facts.notes,
        )
        dataset = make_dataset(source, _map(folder, facts.shape), result)
    except (OSError, ValueError, EOFError, SchemaError):
        return None
    return dataset if dataset.sha256 == facts.sha256 else None


def _map(folder: Path, shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    return np.memmap(folder / _PIXELS, dtype=np.uint8, mode="r", shape=shape)
