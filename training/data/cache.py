"""Decoded images on the disk: made once, then only mapped into memory, so that they may be larger than it.

One folder for each source and size, in DCGAN_HOME/data/decoded: the pixels of all images one after another, their
labels, and what is known of them. A folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import PIL

from dcgan.core.atomic import new_folder, remove_leftovers
from dcgan.core.locks import wait_for_lock
from dcgan.core.paths import cache_dir
from dcgan.core.schema import SchemaError, dump_json, parse_json
from dcgan.training.data.dataset import (
    Dataset,
    Progress,
    Wanted,
    Written,
    decode,
    describe,
    write_pixels,
)
from dcgan.training.data.sources import Source
from dcgan.training.errors import TrainingError

_PIXELS = "pixels.bin"
_LABELS = "labels.npy"
_FACTS = "facts.json"
_VERSION = 1  # of how images are decoded


@dataclass(frozen=True, kw_only=True)
class _Facts:
    shape: tuple[int, ...]
    sha256: str
    corrupt: tuple[str, ...]


def load(source: Source, wanted: Wanted, progress: Progress) -> Dataset:
    """Gives the decoded images of a source, and decodes them only if no process has done so before.

    Raises:
        TrainingError: see `dcgan.training.data.dataset.write_pixels`; or the disk refuses.
    """
    if source.key is None:
        return decode(source, wanted, progress)
    words = [_VERSION, PIL.__version__, source.key, *astuple(wanted)]
    folder = (
        cache_dir() / "data" / "decoded" / hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]
    )
    with wait_for_lock(folder.with_suffix(".lock"), "decode the same images"):
        found = _find(source, folder)
        if found is not None:
            return found

        try:
            remove_leftovers(folder.parent, folder.name)  # of a process that was killed
            with new_folder(folder) as staging:
                with (staging / _PIXELS).open("wb") as file:
                    written = write_pixels(source, wanted, progress, file.write)
                dataset = _describe(source, staging, written)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise TrainingError(
                f"cannot keep the decoded images in {folder.parent}: {error.strerror}; make room or set DCGAN_HOME"
            ) from None
        return replace(dataset, images=_map(folder, written.shape))


def _describe(source: Source, staging: Path, written: Written) -> Dataset:
    dataset = describe(source, _map(staging, written.shape), written.labels, written.corrupt)
    if written.labels is not None:
        np.save(staging / _LABELS, written.labels)
    facts = _Facts(shape=written.shape, sha256=dataset.sha256, corrupt=written.corrupt)
    (staging / _FACTS).write_text(dump_json(facts), encoding="utf-8")
    return dataset


def _find(source: Source, folder: Path) -> Dataset | None:
    """What lies in a folder; None if nothing does, or not all of it, or not as it was written."""
    try:
        facts = parse_json(_Facts, (folder / _FACTS).read_text(encoding="utf-8"), _FACTS)
        labels = None if source.labels is None else np.load(folder / _LABELS, allow_pickle=False)
        found = describe(source, _map(folder, facts.shape), labels, facts.corrupt)
    except (OSError, ValueError, EOFError, SchemaError):
        return None
    return found if found.sha256 == facts.sha256 else None


def _map(folder: Path, shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    return np.memmap(folder / _PIXELS, dtype=np.uint8, mode="r", shape=shape)
