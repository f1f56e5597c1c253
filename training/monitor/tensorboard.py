"""The run as TensorBoard shows it: `tensorboard --logdir` the run folder, or the folder above."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from dcgan.core.images import Pixels, encode_png
from dcgan.training.engine.step import MEASURES
from dcgan.training.monitor.metrics_log import Line

FOLDER = "tensorboard"


class Board:
    """Writes scalars and grids; a resumed run takes the place of what was written for the same steps.

    It writes at once, where torch's SummaryWriter has a thread that ends with a traceback when the disk is full. No run
    ends for it: the board says that it cannot be written, once, and the run goes on without it.

    Args:
        folder: of the run.
        step: from which the run goes on.
        tell: is given the sentence about a board that cannot be written.
    """

    def __init__(self, folder: Path, step: int, tell: Callable[[str], None]) -> None:
        self._path = folder / FOLDER / f"events.out.tfevents.{time.time():.9f}"
        self._tell = tell
        self._broken = False
        self._write(0, file_version="brain.Event:2")
        self._write(
            step + 1, session_log=SessionLog(status=SessionLog.START)
        )  # what came after `step` before is void

    def scalars(self, line: Line) -> None:
        """Shows the measures of one step."""
        self._show(
            int(line["step"]),
            (Summary.Value(tag=name, simple_value=line[name]) for name in MEASURES),
        )

    def grid(self, name: str, pixels: Pixels, step: int) -> None:
        """Shows a grid [H, W, C]."""
        height, width, channels = pixels.shape
        picture = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=encode_png(pixels)
        )
        self._show(step, [Summary.Value(tag=name, image=picture)])

    def _show(self, step: int, values: Iterable[Summary.Value]) -> None:
        self._write(step, summary=Summary(value=values))

    def _write(self, step: int, **what: object) -> None:
        if self._broken:
            return
        event = Event(wall_time=time.time(), step=step, **what)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            self._broken = True
            self._tell(
                f"cannot write {self._path.parent}: {error.strerror}; the run goes on without TensorBoard"
            )
