"""metrics.jsonl: one line for each step, gathered on the device and written some steps at a time."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcgan.training.engine.step import MEASURES
from dcgan.training.errors import CollapseError, TrainingError
from dcgan.training.files import write_file

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

    def __init__(
        self, path: Path, device: torch.device, steps: int, hear: Callable[[list[Line]], None]
    ) -> None:
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
        good = int(
            np.isfinite(rows).all(axis=1).cumprod().sum()
        )  # the rows before the first that is not
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

    def settle(self) -> None:
        """Waits until the disk has what was written, so that no checkpoint outlives the lines of its steps.

        Raises:
            TrainingError: if the disk refuses.
        """
        try:
            with self._path.open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._refusal(error) from None

    def copy_rest(self, steps: int, path: Path) -> None:
        """Writes the lines after those of the first steps into another file."""
        write_file(path, "".join(self._read()[steps:]).encode())

    def rewind(self, steps: int) -> None:
        """Keeps the lines of the first steps only."""
        self._places = []
        self._keep(steps)

    def _keep(self, steps: int) -> None:
        kept = self._read()[:steps]
        if len(kept) < steps or not "".join(kept[-1:]).endswith("\n" * (steps > 0)):
            raise TrainingError(
                f"{self._path} lacks some of the first {steps} steps; start a new run"
            )
        last = deque(
            (self._parse(text, number) for number, text in enumerate(kept, 1)), maxlen=_KEPT
        )
        write_file(self._path, "".join(kept).encode())
        self.kept = list(last)

    def _read(self) -> list[str]:
        try:
            return self._path.read_bytes().decode("utf-8", "replace").splitlines(keepends=True)
        except FileNotFoundError:
            return []

    def _parse(self, text: str, number: int) -> Line:
        try:
            line: object = json.loads(text)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict) or line.get("step") != number or "loss_D" not in line:
            raise TrainingError(
                f"{self._path} is damaged: its line {number} is not step {number}; start a new run"
            )
        return line

    def _write(self, lines: list[Line]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
        except OSError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"cannot write {self._path}: {error.strerror}; mend that and use --resume"
        )
