"""The run as TensorBoard shows it: `tensorboard --logdir` the run folder, or the folder above."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from dcgan.training.errors import TrainingError
from dcgan.training.history import Line
from dcgan.training.step import MEASURES
from dcgan.zoo.picture import Pixels

FOLDER = "tensorboard"


class Board:
    """Writes scalars and grids; a resumed run takes the place of what was written for the same steps."""

    def __init__(self, folder: Path, step: int) -> None:
        try:
            self._writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1 if step else None)
        except OSError as error:
            raise TrainingError(f"cannot write {folder / FOLDER}: {error.strerror}; choose another --out") from None

    def scalars(self, line: Line) -> None:
        """Shows the measures of one step."""
        for name in MEASURES:
            self._writer.add_scalar(name, line[name], int(line["step"]))

    def grid(self, name: str, pixels: Pixels, step: int) -> None:
        """Shows a grid [H, W, C]."""
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()
