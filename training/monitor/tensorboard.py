"""TensorBoard events of a run: scalars and image grids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from dcgan.core.images import Pixels, encode_png
from dcgan.training.monitor.metrics_log import MetricsRow
from dcgan.training.monitor.step_metrics import STEP_METRICS

FOLDER = "tensorboard"


class TensorBoardWriter:
    """Writes scalars and grids as TensorBoard events.

    A resumed run replaces the events of the steps that it repeats. TensorBoard failures never abort
    training: the first one is reported, and later events are dropped. Events are written at once,
    because the thread of torch's SummaryWriter ends with a traceback when the disk is full.

    Args:
        folder: of the run.
        step: steps that the run has done; later events of earlier sessions become void.
        report: called with a sentence if the events cannot be written.
    """

    def __init__(self, folder: Path, step: int, report: Callable[[str], None]) -> None:
        self._path = folder / FOLDER / f"events.out.tfevents.{time.time():.9f}"
        self._report = report
        self._failed = False
        self._write(0, file_version="brain.Event:2")
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def write_scalars(self, row: MetricsRow) -> None:
        """Writes the metrics of one step."""
        values = [Summary.Value(tag=name, simple_value=row[name]) for name in STEP_METRICS]
        self._write_summary(int(row["step"]), values)

    def write_values(self, values: Mapping[str, float], step: int) -> None:
        """Writes other scalars of a step."""
        summaries = [Summary.Value(tag=name, simple_value=values[name]) for name in values]
        self._write_summary(step, summaries)

    def write_grid(self, name: str, pixels: Pixels, step: int) -> None:
        """Writes an image grid, uint8 [H, W, C]."""
        height, width, channels = pixels.shape
        image = Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=encode_png(pixels)
        )
        self._write_summary(step, [Summary.Value(tag=name, image=image)])

    def _write_summary(self, step: int, values: Iterable[Summary.Value]) -> None:
        self._write(step, summary=Summary(value=values))

    def _write(self, step: int, **content: object) -> None:
        if self._failed:
            return
        event = Event(wall_time=time.time(), step=step, **content)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            self._failed = True
            self._report(
                f"cannot write {self._path.parent}: {error.strerror}; "
                "training continues without TensorBoard"
            )
