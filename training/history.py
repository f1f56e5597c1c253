"""metrics.jsonl: one line for each step, gathered on the device and written some steps at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcgan.training.errors import CollapseError, TrainingError
from dcgan.training.files import write_whole
from dcgan.training.step import MEASURES

Line = dict[str, float]
"""Step, epoch, images and MEASURES of one step."""

_KEPT = 500


def lump(device: torch.device) -> int:
    """Steps whose measures are read together: reading makes the device wait."""
    return 100 if device.type == "cuda" else 10


class History:
    """Appends steps to a file without making the device wait at each of them.

    A resumed run keeps the lines of the steps before and writes the later ones again. `hear` is given the lines as they
    are written.

    Attributes:
        latest: the measures that were last written; empty before.
        kept: the last lines from before, at most 500.
    """

    def __init__(self, path: Path, device: torch.device, steps: int, hear: Callable[[list[Line]], None]) -> None:
        self._hear = hear
        self._path = path
        self._rows = torch.zeros((lump(device), len(MEASURES)), device=device)
        self._places: list[dict[str, int]] = []
        self.latest: dict[str, float] = {}
        self.kept: list[Line] = []
        self._keep(steps)

    def add(self, row: Tensor, *, step: int, epoch: int, images: int) -> None:
        """Takes the measures of one step, which stay on the device until there are enough of them.

        Raises:
            TrainingError: see `flush`.
        """
        self._rows[len(self._places)] = row
        self._places.append({"step": step, "epoch": epoch, "images": images})
        if len(self._places) == len(self._rows):
            self.flush()

    def flush(self) -> None:
        """Writes what has been gathered.

        Raises:
            CollapseError: if a measure is not a finite number.
            TrainingError: if the disk refuses.
        """
        rows = self._rows[: len(self._places)].cpu().double().numpy().round(6)
        places, self._places = self._places, []
        good = int(np.isfinite(rows).all(axis=1).cumprod().sum())  # the rows before the first that is not
        lines = [
            place | dict(zip(MEASURES, row, strict=True))
            for place, row in zip(places[:good], rows[:good].tolist(), strict=True)
        ]
        if lines:
            self._write(lines)
            self.latest = {name: lines[-1][name] for name in MEASURES}
            self._hear(lines)
        if good < len(places):
            raise CollapseError(
                f"a loss is no longer a number at step {places[good]['step']}; the last checkpoint is good: "
                "begin a run with lower rates or --precision fp32"
            )

    def rewind(self, steps: int, abandoned: Path) -> None:
        """Keeps the lines of the first steps, and moves the others to another file."""
        self._places = []
        self._keep(steps, abandoned)

    def _keep(self, steps: int, abandoned: Path | None = None) -> None:
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True) if self._path.exists() else []
        kept = lines[:steps]
        if len(kept) < steps or not "".join(kept).endswith("\n" * (steps > 0)):
            raise TrainingError(f"{self._path} lacks some of the first {steps} steps; start a new run")
        if abandoned is not None:
            write_whole(abandoned, "".join(lines[steps:]).encode())
        write_whole(self._path, "".join(kept).encode())
        try:
            self.kept = [json.loads(line) for line in kept[-_KEPT:]]
        except ValueError:
            raise TrainingError(f"{self._path} is damaged among its last {_KEPT} lines; start a new run") from None

    def _write(self, lines: list[Line]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
        except OSError as error:
            raise TrainingError(f"cannot write {self._path}: {error.strerror}; mend that and use --resume") from None
