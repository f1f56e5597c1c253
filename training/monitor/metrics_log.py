"""metrics.jsonl: one row of metrics for each training step, read from the device in groups."""

from __future__ import annotations

import json
import math
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from dcgan.training import host_copy
from dcgan.training.errors import TrainingError
from dcgan.training.files import replacing
from dcgan.training.host_copy import HostCopy
from dcgan.training.monitor.collapse import WINDOW
from dcgan.training.monitor.quality import QUALITY, QUALITY_ERROR
from dcgan.training.monitor.step_metrics import STEP_METRICS, is_finite

_REQUIRED = {"step", "images", "loss_D", "diversity"}
_MAX_LINE_BYTES = 2**14  # those of a row have under 2**10; a file of holes is a single line
_MAX_VALUE = 2.0**63  # NaN and infinity are not below it

MetricsRow = dict[str, float]
"""Step, epoch, images seen and the STEP_METRICS of one step; its quality if it was evaluated."""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Metrics of successive steps on their way to the host.

    Attributes:
        values: float32 [steps, len(STEP_METRICS)].
        positions: step, epoch and images seen of each.
    """

    values: HostCopy
    positions: list[dict[str, float]]


def flush_interval(device: torch.device) -> int:
    """Returns how many steps are read from the device at a time: each read waits for the device."""
    return 100 if device.type == "cuda" else 10


class MetricsLog:
    """Appends the metrics of each step to a file, without a wait for the device at every step.

    Args:
        path: of the file. Rows after `step` are removed; a resumed run writes them again.
        device: on which the metrics are computed.
        step: steps that the run has done.

    Attributes:
        latest: the metrics of the last row written, empty before the first.
        recent: the last rows from before `step`, at most `WINDOW`.
        best_quality: the smallest distance of all steps, also of those that rollbacks abandoned;
            infinity if none was evaluated.

    Raises:
        TrainingError: if the file lacks some of the first steps, or is damaged.
    """

    def __init__(self, path: Path, device: torch.device, step: int) -> None:
        self._path = path
        self._buffer = torch.zeros((flush_interval(device), len(STEP_METRICS)), device=device)
        self._positions: list[dict[str, float]] = []
        self._asynchronous = host_copy.is_asynchronous(device)
        self._sent: _Group | None = None
        self.latest: dict[str, float] = {}
        self.recent: list[MetricsRow] = []
        self.best_quality = math.inf
        for row in self._abandoned_rows():
            self._count_quality(row)
        self.truncate(step)

    @property
    def full(self) -> bool:
        """Whether the buffer is full and has to be flushed before the next step."""
        return len(self._positions) == len(self._buffer)

    def append(self, metrics: Tensor, *, step: int, epoch: int, images: int) -> None:
        """Buffers the metrics of one step, which stay on the device until `flush`.

        Args:
            metrics: float32 [len(STEP_METRICS)].
            step: steps done, this one included.
            epoch: number of the epoch, from 1.
            images: real images seen so far.
        """
        self._buffer[len(self._positions)] = metrics
        self._positions.append({"step": step, "epoch": epoch, "images": images})

    def add_quality(self, values: Mapping[str, float]) -> None:
        """Adds the quality after the last step to its row, which must not have been flushed."""
        self._positions[-1].update(values)
        self._count_quality(values)

    def flush_full(self) -> list[MetricsRow]:
        """Flushes a full buffer without a wait for the device.

        On a GPU the buffer starts on its way to the host, and the rows that are written are those
        of the full buffer before it, which have long arrived.

        Returns:
            The rows that were written; see `flush`.

        Raises:
            TrainingError: if the file cannot be written.
        """
        if not self._asynchronous:
            return self.flush()
        arrived = self._sent
        self._sent = self._send()
        return self._write_group(arrived)

    def flush(self) -> list[MetricsRow]:
        """Reads all buffered metrics and writes them to the file.

        Returns:
            The buffered rows, up to and including the first with a NaN or an infinity. That row is
            not written, so the file has finite numbers only.

        Raises:
            TrainingError: if the file cannot be written.
        """
        groups = (self._sent, self._send())
        self._sent = None
        rows: list[MetricsRow] = []
        for group in groups:
            rows += self._write_group(group)
            if rows and not is_finite(rows[-1]):
                break
        return rows

    def sync(self) -> None:
        """Flushes the file to the disk (fsync), so that no checkpoint refers to lost rows.

        Raises:
            TrainingError: if the disk reports an error.
        """
        try:
            with self._path.open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._write_error(error) from None

    def copy_abandoned(self, step: int, number: int) -> None:
        """Copies the rows after a step, those in the buffer too, before a rollback removes them.

        Args:
            step: to which the run is rolled back.
            number: of the rollback.
        """
        self.flush()
        path = self._path.with_name(f"metrics.abandoned-{number}.jsonl")
        with replacing(path) as temporary, temporary.open("wb") as file:
            file.writelines(islice(_read_lines(self._path), step, None))

    def truncate(self, step: int) -> None:
        """Removes the rows after a step, and those in the buffer.

        Raises:
            TrainingError: if the file lacks some of the first steps, or is damaged.
        """
        self._positions = []
        self._sent = None
        recent: deque[MetricsRow] = deque(maxlen=WINDOW)
        number = 0
        with replacing(self._path) as temporary, temporary.open("wb") as file:
            for number, line in enumerate(islice(_whole_lines(self._path), step), 1):
                row = self._parse(line, number)
                recent.append(row)
                self._count_quality(row)
                file.write(line)

            if number < step:
                raise TrainingError(
                    f"{self._path} lacks some of the first {step} steps; start a new run"
                )
        self.recent = list(recent)

    def _send(self) -> _Group | None:
        """Empties the buffer; its metrics start on their way to the host."""
        if not self._positions:
            return None
        values = HostCopy(self._buffer[: len(self._positions)])
        group = _Group(values=values, positions=self._positions)
        self._positions = []
        return group

    def _write_group(self, group: _Group | None) -> list[MetricsRow]:
        """Writes rows up to the first that is not finite, and returns them with that one."""
        if group is None:
            return []
        values = group.values.numpy().astype(np.float64).round(6)
        finite = np.isfinite(values).all(axis=1)
        count = int(finite.cumprod().sum())  # rows before the first that is not finite
        rows: list[MetricsRow] = [
            position | dict(zip(STEP_METRICS, row, strict=True))
            for position, row in zip(group.positions, values.tolist(), strict=True)
        ]

        written = rows[:count]
        if written:
            self._write(written)
            self.latest = {name: written[-1][name] for name in STEP_METRICS}
        return rows[: count + 1]

    def _abandoned_rows(self) -> Iterator[MetricsRow]:
        """Yields the rows that `copy_abandoned` has copied, without damaged ones."""
        for path in self._path.parent.glob("metrics.abandoned-[1-9].jsonl"):
            if path.is_file():
                yield from filter(None, map(_parse_row, _read_lines(path)))

    def _count_quality(self, row: Mapping[str, float]) -> None:
        self.best_quality = min(self.best_quality, row.get(QUALITY, math.inf))

    def _parse(self, line: bytes, step: int) -> MetricsRow:
        row = _parse_row(line)
        if row is None or row["step"] != step:
            raise TrainingError(
                f"{self._path} is damaged: its line {step} is not step {step}; start a new run"
            )
        return row

    def _write(self, rows: list[MetricsRow]) -> None:
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise self._write_error(error) from None

    def _write_error(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"cannot write {self._path}: {error.strerror}; fix that and use --resume"
        )


def _read_lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file, up to and including the first that is too long for a row."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_BYTES):
            yield line
            if len(line) == _MAX_LINE_BYTES:
                return


def _whole_lines(path: Path) -> Iterator[bytes]:
    return takewhile(lambda line: line.endswith(b"\n"), _read_lines(path))


def _parse_row(line: bytes) -> MetricsRow | None:
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if _is_row(row) else None


def _is_row(row: object) -> TypeGuard[MetricsRow]:
    if not isinstance(row, dict) or not row.keys() >= _REQUIRED:
        return False
    if not all(type(value) in (int, float) and abs(value) < _MAX_VALUE for value in row.values()):
        return False
    return bool(row.get(QUALITY_ERROR, 0) >= 0)  # the length of a bar in the curves
