"""What a run does after a collapse: continue, stop or roll back."""

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dcgan.training.config import AdamConfig
from dcgan.training.data.dataset import Dataset
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.rollback import ROLLBACKS
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_config import RunConfig
from dcgan.training.run_folder import RunFolder, read_run
from dcgan.training.tensor_file import read_tensors

pytestmark = pytest.mark.slow

WON = {
    "discriminator_adam": AdamConfig(rate=0.05),
    "generator_adam": AdamConfig(rate=1e-9),
    "sample_steps": 10_000,
}


def spoil_training(trainer: Trainer, spoil: Callable[[Trainer], None]) -> None:
    train_step = trainer.train_step

    def spoilt_step() -> torch.Tensor:
        spoil(trainer)
        return train_step()

    trainer.train_step = spoilt_step


def go(
    config: RunConfig,
    dataset: Dataset,
    path: Path,
    on_collapse: str,
    spoil: Callable[[Trainer], None] | None = None,
    *,
    stop: StopSignal | None = None,
) -> tuple[Trainer, str]:
    """Trains; `spoil` may harm the trainer before each step."""
    folder, trainer, out = RunFolder(path), Trainer(config, dataset), io.StringIO()
    folder.create(config)

    if spoil:
        spoil_training(trainer, spoil)
    train(
        trainer,
        folder,
        Progress(config.steps, out=out),
        stop or StopSignal(),
        CheckpointSchedule(steps=5),
        on_collapse=on_collapse,
    )
    return trainer, out.getvalue()


def test_a_collapsed_run_can_stop_and_keeps_a_good_checkpoint(tmp_path, configure, dataset):
    trainer, said = go(configure(steps=5000, epochs=5000, **WON), dataset, tmp_path / "run", "stop")
    assert 500 <= trainer.step < 5000
    assert "the discriminator has won" in said
    assert read_run(tmp_path / "run").training.images_seen > 0
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1]["step"] == trainer.step
    assert read_tensors(tmp_path / "run" / GOOD)[1]["step"] < trainer.step - 400


def test_a_collapsed_run_is_rewound_and_continues_with_other_random_numbers(
    tmp_path, configure, dataset
):
    def spoil(trainer: Trainer) -> None:
        if trainer.rollbacks == 0 and trainer.step == 27:
            with torch.no_grad():
                trainer.state.generator.head.weight[0] = float("nan")

    go(configure(steps=40, epochs=40), dataset, tmp_path / "plain", "continue")
    _, said = go(configure(steps=40, epochs=40), dataset, tmp_path / "run", "rollback", spoil)
    assert (
        "rolled back to step 25; training continues with other random numbers (rollback 1)" in said
    )
    (entry,) = json.loads((tmp_path / "run" / ROLLBACKS).read_text())
    assert (entry["detour"], entry["from_step"], entry["to_step"]) == (1, 30, 25)
    assert "NaN or infinite at step 28" in entry["why"]
    rows = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    others = [
        json.loads(line) for line in (tmp_path / "plain" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert rows[:25] == others[:25]
    assert all(row != other for row, other in zip(rows[25:], others[25:], strict=True))
    abandoned = (tmp_path / "run" / "metrics.abandoned-1.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in abandoned] == others[25:27]
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1] == {"step": 40, "detour": 1}


def test_a_run_that_is_stopped_just_after_a_collapse_is_rewound_first(tmp_path, configure, dataset):
    stop = StopSignal()

    def spoil(trainer: Trainer) -> None:
        if trainer.rollbacks == 0 and trainer.step == 12:
            with torch.no_grad():
                trainer.state.generator.head.weight[0] = float("nan")
            stop.received = signal.SIGTERM

    trainer, said = go(
        configure(steps=40, epochs=40), dataset, tmp_path / "run", "rollback", spoil, stop=stop
    )
    assert (
        "rolled back to step 10; training continues with other random numbers (rollback 1)" in said
    )
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1] == {"step": trainer.step, "detour": 1}
    assert trainer.step < 40


def test_a_rewound_run_resumes_with_its_random_numbers(tmp_path, configure, dataset):
    trainer, twin = (Trainer(configure(steps=9), dataset) for _ in range(2))
    trainer.rollbacks = 3
    for _ in range(2):
        trainer.train_step()
    (tmp_path / "checkpoint").write_bytes(trainer.encode_checkpoint())
    twin.load_checkpoint(tmp_path / "checkpoint")
    assert (twin.step, twin.rollbacks) == (2, 3)
    assert torch.equal(twin.train_step(), trainer.train_step())


def test_a_run_is_rewound_five_times_at_most(tmp_path, configure, dataset):
    def spoil(trainer: Trainer) -> None:
        if trainer.step == 7:
            with torch.no_grad():
                trainer.state.generator.head.weight[0] = float("inf")

    with pytest.raises(
        TrainingError, match=r"rolled back 5 times and collapsed again: .*good.safetensors"
    ):
        go(configure(steps=40, epochs=40), dataset, tmp_path / "run", "rollback", spoil)
    entries = json.loads((tmp_path / "run" / ROLLBACKS).read_text())
    assert [entry["detour"] for entry in entries] == [1, 2, 3, 4, 5]
    assert read_tensors(tmp_path / "run" / GOOD)[1]["step"] == 5


def test_a_run_that_must_not_be_rewound_ends_with_its_good_checkpoint(tmp_path, configure, dataset):
    def spoil(trainer: Trainer) -> None:
        if trainer.step == 7:
            with torch.no_grad():
                trainer.state.generator.head.weight[0] = float("nan")

    with pytest.raises(
        TrainingError, match=r"NaN or infinite at step 8; the last checkpoint is good"
    ):
        go(configure(steps=40, epochs=40), dataset, tmp_path / "run", "continue", spoil)
    assert read_tensors(tmp_path / "run" / CHECKPOINT)[1]["step"] == 5
    assert (
        read_run(tmp_path / "run").training.images_seen == 40
    )  # the generator of step 6, not that of step 9


def spoil_once(trainer: Trainer) -> None:
    """Harms the trainer once, before the first rollback."""
    if trainer.rollbacks == 0 and trainer.step == 12:
        with torch.no_grad():
            trainer.state.generator.head.weight[0] = float("nan")


def die_while_rewinding(config: RunConfig, dataset: Dataset, path: Path, writes: int) -> None:
    """Trains, and is killed after so many of the writes of a rollback."""
    torch.set_num_threads(1)
    left: list[int] = []

    def watch(event: str, details: tuple[object, ...]) -> None:
        if event != "os.rename":
            return
        if str(details[1]).endswith(ROLLBACKS):  # the first write
            left.extend(range(writes))
        elif not (path / ROLLBACKS).exists():
            return
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    sys.addaudithook(watch)
    go(config, dataset, path, "rollback", spoil_once)


@pytest.mark.parametrize("writes", range(5))
def test_a_run_that_is_killed_while_it_is_rewound_ends_with_the_same_files(
    tmp_path, configure, dataset, writes, forkserver
):
    config = configure(steps=20, epochs=40, sample_steps=10_000)
    go(config, dataset, tmp_path / "whole", "rollback", spoil_once)
    process = forkserver.Process(
        target=die_while_rewinding, args=(config, dataset, tmp_path / "run", writes)
    )
    process.start()
    process.join()

    assert process.exitcode == -signal.SIGKILL
    resume(config, dataset, tmp_path / "run")
    for name in (
        CHECKPOINT,
        GOOD,
        ROLLBACKS,
        "metrics.jsonl",
        "metrics.abandoned-1.jsonl",
        "generator.safetensors",
    ):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (
            name
        )


def resume(config: RunConfig, dataset: Dataset, path: Path) -> None:
    trainer = Trainer(config, dataset)
    trainer.load_checkpoint(path / CHECKPOINT)
    spoil_training(trainer, spoil_once)
    train(
        trainer,
        RunFolder(path),
        Progress(20),
        StopSignal(),
        CheckpointSchedule(steps=5),
        on_collapse="rollback",
    )
