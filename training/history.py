"""metrics.jsonl: one line for each step, gathered on the device and written some steps at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dcgan.training.errors import TrainingError
from dcgan.training.files import write_whole
from dcgan.training.step import MEASURES


class History:
    """Appends steps to a file without making the device wait at each of them.

    A resumed run keeps the lines of the steps before and writes the later ones again. `warn` hears D's losses as they
    are written.

    Attributes:
        latest: the measures that were last written; empty before.
    """

    def __init__(self, path: Path, device: torch.device, steps: int, warn: Callable[[list[float]], None]) -> None:
        self._warn = warn
        self._path = path
        every = 100 if device.type == "cuda" else 10  # reading them makes the device wait
        self._rows = torch.zeros((every, len(MEASURES)), device=device)
        self._places: list[dict[str, int]] = []
        self.latest: dict[str, float] = {}
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
            TrainingError: if a measure is not a finite number, or the disk refuses.
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
            self._warn([line["loss_D"] for line in lines])
        if good < len(places):
            raise TrainingError(
                f"a loss is no longer a number at step {places[good]['step']}; the last checkpoint is good: "
                "begin a run with lower rates or --precision fp32"
            )

    def _keep(self, steps: int) -> None:
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True) if self._path.exists() else []
        kept = lines[:steps]
        if len(kept) < steps or not "".join(kept).endswith("\n" * (steps > 0)):
            raise TrainingError(f"{self._path} lacks some of the first {steps} steps; start a new run")
        write_whole(self._path, "".join(kept).encode())

    def _write(self, lines: list[dict[str, float]]) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
        except OSError as error:
            raise TrainingError(f"cannot write {self._path}: {error.strerror}; mend that and use --resume") from None
