"""metrics.jsonl."""

import json
import math
from pathlib import Path

import pytest
import torch

from dcgan.training import host_copy
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.metrics_log import MetricsLog, flush_interval
from dcgan.training.monitor.quality import QUALITY, QUALITY_ERROR

CPU = torch.device("cpu")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "metrics.jsonl"


def append(log: MetricsLog, step: int, value: float) -> None:
    log.append(torch.full((6,), value), step=step, epoch=1, images=step)


def read(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_are_written_in_order_and_returned_by_each_flush(path):
    log = MetricsLog(path, CPU, 0)
    flushed = []
    for step in range(1, 13):
        append(log, step, float(step))
        if log.full:
            flushed.append(log.flush())

    assert len(read(path)) == flush_interval(CPU) == 10
    assert log.latest["loss_D"] == 10.0
    flushed.append(log.flush())
    assert log.flush() == []
    rows = read(path)
    assert [row["step"] for row in rows] == [row["loss_G"] for row in rows] == list(range(1, 13))
    assert flushed == [rows[:10], rows[10:]]


def test_a_file_that_cannot_be_written_is_reported(path):
    log = MetricsLog(path, CPU, 0)
    append(log, 1, 0.0)
    path.unlink()
    path.mkdir()
    with pytest.raises(TrainingError, match=r"cannot write .*metrics.jsonl: Is a directory"):
        log.flush()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_returned_and_not_written(path, value):
    log = MetricsLog(path, CPU, 0)
    for step in range(1, 5):
        append(log, step, value if step == 3 else 0.5)
    rows = log.flush()
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[2]["loss_D"] == pytest.approx(value, nan_ok=True)
    assert [row["step"] for row in read(path)] == [1, 2]
    assert log.latest["loss_D"] == 0.5


def test_only_the_rows_up_to_the_step_of_the_checkpoint_are_kept(path):
    rows = [{"step": i, "images": i, "loss_D": 0.5, "diversity": 0.5} for i in range(1, 5)]
    lines = [json.dumps(row) + "\n" for row in rows]
    path.write_text("".join(lines).rstrip())
    log = MetricsLog(path, CPU, 2)
    assert path.read_text() == "".join(lines[:2])
    assert [row["step"] for row in log.recent] == [1, 2]
    with pytest.raises(TrainingError, match="lacks some of the first 3 steps"):
        MetricsLog(path, CPU, 3)


def test_truncating_drops_buffered_rows(path):
    log = MetricsLog(path, CPU, 0)
    append(log, 1, 0.5)
    log.flush()
    append(log, 2, 0.5)
    log.truncate(1)
    assert log.flush() == []
    assert len(read(path)) == 1


def test_the_rows_after_a_step_can_be_copied(path, tmp_path):
    log = MetricsLog(path, CPU, 0)
    for step in range(1, 4):
        append(log, step, 0.5)
    log.flush()
    log.copy_abandoned(1, 2)
    assert [row["step"] for row in read(tmp_path / "metrics.abandoned-2.jsonl")] == [2, 3]


def test_rows_that_are_still_buffered_are_copied_too(asynchronous_log, path, tmp_path):
    fill(asynchronous_log, 1)
    asynchronous_log.flush_full()
    append(asynchronous_log, 11, 0.5)
    asynchronous_log.copy_abandoned(9, 1)
    assert [row["step"] for row in read(tmp_path / "metrics.abandoned-1.jsonl")] == [10, 11]


@pytest.mark.parametrize("again", [False, True], ids=["the same log", "opened again"])
def test_the_best_quality_counts_abandoned_steps(path, again):
    log = MetricsLog(path, CPU, 0)
    for step, quality in ((1, 3.0), (2, 1.0)):
        append(log, step, 0.5)
        log.add_quality({QUALITY: quality})
    log.copy_abandoned(1, 1)
    log.truncate(1)
    assert [row[QUALITY] for row in read(path)] == [3.0]
    if again:
        log = MetricsLog(path, CPU, 1)
    assert log.best_quality == 1.0


@pytest.mark.hostile(
    "A stranger's rows of abandoned steps that are no rows, or a folder in place of the file",
    "left out: they only say which generator was the best",
)
def test_damaged_abandoned_rows_are_left_out(path, tmp_path):
    lines = ["", "[", "[1]", f'{{"{QUALITY}": -1}}', "[" * 10**5]
    (tmp_path / "metrics.abandoned-1.jsonl").write_text("\n".join(lines))
    (tmp_path / "metrics.abandoned-2.jsonl").mkdir()
    assert MetricsLog(path, CPU, 0).best_quality == math.inf


@pytest.mark.hostile(
    "Rows of a stranger's metrics.jsonl with text, lists, NaN or 1e999 in place of numbers",
    "the run is not resumed; the line is named",
)
@pytest.mark.parametrize(
    "change",
    [
        {"loss_D": "x"},
        {"loss_D": None},
        {"diversity": [1]},
        {"diversity": True},
        {"loss_G": float("nan")},
        {"images": float("inf")},
        {"images": 10**400},
        {"note": {}},
        {QUALITY: 1.0, QUALITY_ERROR: -1.0},
        {"step": 2},
    ],
    ids=str,
)
def test_rows_of_other_types_are_damage(path, change):
    log = MetricsLog(path, CPU, 0)
    append(log, 1, 0.5)
    log.flush()
    assert len(MetricsLog(path, CPU, 1).recent) == 1
    (row,) = read(path)
    path.write_text(json.dumps(row | change) + "\n")
    with pytest.raises(TrainingError, match="its line 1 is not step 1"):
        MetricsLog(path, CPU, 1)


@pytest.mark.hostile(
    "A sparse metrics.jsonl of a terabyte, for `--resume`", "refused after 16 KiB of a line"
)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_metrics_of_a_terabyte_are_not_read(path, step):
    log = MetricsLog(path, CPU, 0)
    append(log, 1, 0.5)
    log.flush()
    row = path.read_bytes()
    for holes in (path, path.with_name("metrics.abandoned-1.jsonl")):
        with holes.open("ab") as file:
            file.truncate(2**40)

    if step == 2:
        with pytest.raises(TrainingError, match="lacks some of the first 2 steps"):
            MetricsLog(path, CPU, step)
    else:
        assert MetricsLog(path, CPU, step).best_quality == math.inf
        assert path.read_bytes() == row * step


@pytest.mark.parametrize("key", ["step", "images", "loss_D", "diversity"])
def test_rows_without_their_measures_are_damage(path, key):
    log = MetricsLog(path, CPU, 0)
    append(log, 1, 0.5)
    log.flush()
    (row,) = read(path)
    del row[key]
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(TrainingError, match="its line 1 is not step 1"):
        MetricsLog(path, CPU, 1)


@pytest.fixture
def asynchronous_log(path, monkeypatch) -> MetricsLog:
    monkeypatch.setattr(host_copy, "is_asynchronous", lambda _: True)
    return MetricsLog(path, CPU, 0)


def fill(log: MetricsLog, first: int, value: float = 0.5) -> None:
    for step in range(first, first + flush_interval(CPU)):
        append(log, step, value)


def test_on_a_gpu_a_full_buffer_is_written_when_the_next_one_is_full(asynchronous_log, path):
    fill(asynchronous_log, 1)
    assert asynchronous_log.flush_full() == []
    fill(asynchronous_log, 11)
    assert [row["step"] for row in asynchronous_log.flush_full()] == list(range(1, 11))
    append(asynchronous_log, 21, 0.5)
    assert [row["step"] for row in asynchronous_log.flush()] == list(range(11, 22))
    assert [row["step"] for row in read(path)] == list(range(1, 22))
    assert asynchronous_log.flush() == []


def test_on_a_gpu_nothing_is_written_after_a_value_that_is_not_finite(asynchronous_log, path):
    fill(asynchronous_log, 1, float("nan"))
    asynchronous_log.flush_full()
    append(asynchronous_log, 11, 0.5)
    assert [row["step"] for row in asynchronous_log.flush()] == [1]
    assert path.read_text() == ""


def test_on_a_gpu_truncating_drops_rows_on_their_way(asynchronous_log, path):
    fill(asynchronous_log, 1)
    asynchronous_log.flush_full()
    asynchronous_log.truncate(0)
    assert asynchronous_log.flush() == []
    assert path.read_text() == ""
