"""Decoded images on the disk: made once, then only mapped into memory, so that they may be larger than it.

One folder for each source and size, in DCGAN_HOME/data/decoded: the pixels of all images one after another, their
labels, and what is known of them. A folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL

from dcgan.core.locks import locked
from dcgan.core.paths import home
from dcgan.core.schema import RecordError, dump_json, parse_json
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
        home() / "data" / "decoded" / hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]
    )
    with locked(folder.with_suffix(".lock")):
        found = _find(source, folder)
        if found is not None:
            return found
        staging = folder.with_suffix(
            ".part"
        )  # of a process that was killed, if it is there: the lock is ours
        try:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
            with _open_durable(staging / _PIXELS) as file:
                written = write_pixels(source, wanted, progress, file.write)
            dataset = _describe(source, staging, written)
            shutil.rmtree(folder, ignore_errors=True)
            staging.replace(folder)
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            raise TrainingError(
                f"cannot keep the decoded images in {folder.parent}: {error.strerror}; make room or set DCGAN_HOME"
            ) from None
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return replace(dataset, images=_map(folder, written.shape))


def _describe(source: Source, staging: Path, written: Written) -> Dataset:
    dataset = describe(source, _map(staging, written.shape), written.labels, written.corrupt)
    if written.labels is not None:
        with _open_durable(staging / _LABELS) as file:
            np.save(file, written.labels)
    facts = _Facts(shape=written.shape, sha256=dataset.sha256, corrupt=written.corrupt)
    with _open_durable(staging / _FACTS) as file:
        file.write(dump_json(facts).encode())
    return dataset


@contextmanager
def _open_durable(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that the disk has in full before its folder is put in place."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _find(source: Source, folder: Path) -> Dataset | None:
    """What lies in a folder; None if nothing does, or not all of it, or not as it was written."""
    try:
        facts = parse_json(_Facts, (folder / _FACTS).read_text(encoding="utf-8"), _FACTS)
        labels = None if source.labels is None else np.load(folder / _LABELS, allow_pickle=False)
        found = describe(source, _map(folder, facts.shape), labels, facts.corrupt)
    except (OSError, ValueError, EOFError, RecordError):
        return None
    return found if found.sha256 == facts.sha256 else None


def _map(folder: Path, shape: tuple[int, ...]) -> np.memmap[tuple[int, ...], np.dtype[np.uint8]]:
    return np.memmap(folder / _PIXELS, dtype=np.uint8, mode="r", shape=shape)
