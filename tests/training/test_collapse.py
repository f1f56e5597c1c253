"""The alarm, and what a run does when it is raised."""

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dcgan.training.config import Adam
from dcgan.training.data.dataset import Dataset
from dcgan.training.engine.checkpoint import CHECKPOINT, GOOD, Cadence
from dcgan.training.engine.loop import train
from dcgan.training.engine.rewind import DETOURS, note
from dcgan.training.engine.signals import Stop
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.collapse import Alarm
from dcgan.training.monitor.progress import Progress
from dcgan.training.run_folder import RunConfig, RunFolder, read_run
from dcgan.training.tensor_file import unpack
from tests.training.test_resume import FORKS

WON = {
    "discriminator_adam": Adam(rate=0.05),
    "generator_adam": Adam(rate=1e-9),
    "sample_steps": 10_000,
}


def lines(*losses: float, diversity: float = 0.8) -> list[dict[str, float]]:
    return [{"loss_D": loss, "diversity": diversity} for loss in losses]


def test_the_alarm_is_raised_once_when_the_discriminator_wins():
    alarm = Alarm()
    assert alarm.hear(lines(*[0.0] * 400, 3.0, *[0.0] * 99)) is None
    assert alarm.hear(lines(*[0.001] * 400)) is None
    assert "the discriminator has won" in alarm.hear(lines(*[0.001] * 100))
    assert alarm.hear(lines(*[0.0] * 1000)) is None


def test_the_alarm_is_raised_when_all_images_become_one():
    alarm = Alarm()
    assert alarm.hear(lines(*[1.0] * 499, diversity=0.05)) is None
    assert alarm.hear(lines(1.0, diversity=0.5)) is None
    assert alarm.hear(lines(*[1.0] * 499, diversity=0.05)) is None
    assert "all images look alike" in alarm.hear(lines(1.0, diversity=0.05))


@pytest.mark.parametrize(
    ("loss", "diversity", "calm"), [(1.0, 0.8, True), (0.001, 0.8, False), (1.0, 0.05, False)]
)
def test_the_alarm_is_calm_while_the_last_steps_are_well(loss, diversity, calm):
    alarm = Alarm()
    alarm.recall(lines(*[0.001] * 200, diversity=0.01))
    assert not alarm.calm
    alarm.recall(lines(*[loss] * 50, diversity=diversity))
    assert alarm.calm is calm


def take_a_wrong_way(trainer: Trainer, spoil: Callable[[Trainer], None]) -> None:
    advance = trainer.advance

    def spoilt() -> torch.Tensor:
        spoil(trainer)
        return advance()

    trainer.advance = spoilt


def go(
    config: RunConfig,
    dataset: Dataset,
    path: Path,
    on_collapse: str,
    spoil: Callable[[Trainer], None] | None = None,
    *,
    stop: Stop | None = None,
) -> tuple[Trainer, str]:
    """Trains; `spoil` may harm the trainer before each step."""
    folder, trainer, out = RunFolder(path), Trainer(config, dataset), io.StringIO()
    folder.create(config)
    if spoil:
        take_a_wrong_way(trainer, spoil)
    train(
        trainer,
        folder,
        Progress(config.steps, out=out),
        stop or Stop(),
        Cadence(steps=5),
        on_collapse=on_collapse,
    )
    return trainer, out.getvalue()


def test_a_run_that_has_collapsed_can_stop_by_itself_and_keeps_a_good_checkpoint(
    tmp_path, configure, dataset
):
    trainer, said = go(configure(steps=5000, epochs=5000, **WON), dataset, tmp_path / "run", "stop")
    assert 500 <= trainer.step < 5000
    assert "the discriminator has won" in said
    assert read_run(tmp_path / "run").training.images_seen > 0
    assert unpack(tmp_path / "run" / CHECKPOINT)[1]["step"] == trainer.step
    assert unpack(tmp_path / "run" / GOOD)[1]["step"] < trainer.step - 400


def test_a_run_goes_back_and_takes_another_way(tmp_path, configure, dataset):
    def spoil(trainer: Trainer) -> None:
        if trainer.detour == 0 and trainer.step == 27:
            with torch.no_grad():
                trainer.players.generator.head.weight[0] = float("nan")

    go(configure(steps=40, epochs=40), dataset, tmp_path / "plain", "continue")
    _, said = go(configure(steps=40, epochs=40), dataset, tmp_path / "run", "rollback", spoil)
    assert "back to step 25, with other random numbers (detour 1)" in said
    (detour,) = json.loads((tmp_path / "run" / DETOURS).read_text())
    assert (detour["detour"], detour["from_step"], detour["to_step"]) == (1, 30, 25)
    assert "no longer a number at step 28" in detour["why"]
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
    assert unpack(tmp_path / "run" / CHECKPOINT)[1] == {"step": 40, "detour": 1}


def test_a_run_that_is_stopped_just_after_a_collapse_goes_back_first(tmp_path, configure, dataset):
    stop = Stop()

    def spoil(trainer: Trainer) -> None:
        if trainer.detour == 0 and trainer.step == 12:
            with torch.no_grad():
                trainer.players.generator.head.weight[0] = float("nan")
            stop.asked = True

    trainer, said = go(
        configure(steps=40, epochs=40), dataset, tmp_path / "run", "rollback", spoil, stop=stop
    )
    assert "back to step 10, with other random numbers (detour 1)" in said
    assert unpack(tmp_path / "run" / CHECKPOINT)[1] == {"step": trainer.step, "detour": 1}
    assert trainer.step < 40


def test_a_detour_is_resumed_as_a_detour(tmp_path, configure, dataset):
    trainer, twin = (Trainer(configure(steps=9), dataset) for _ in range(2))
    trainer.feed.detour = 3
    for _ in range(2):
        trainer.advance()
    (tmp_path / "checkpoint").write_bytes(trainer.checkpoint())
    twin.resume(tmp_path / "checkpoint")
    assert (twin.step, twin.detour) == (2, 3)
    assert torch.equal(twin.advance(), trainer.advance())


def test_a_run_does_not_go_back_for_ever(tmp_path, configure, dataset):
    def spoil(trainer: Trainer) -> None:
        if trainer.step == 7:
            with torch.no_grad():
                trainer.players.generator.head.weight[0] = float("inf")

    with pytest.raises(
        TrainingError, match=r"gone back 5 times and collapses again: .*good.safetensors"
    ):
        go(configure(steps=40, epochs=40), dataset, tmp_path / "run", "rollback", spoil)
    assert [entry["detour"] for entry in json.loads((tmp_path / "run" / DETOURS).read_text())] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert unpack(tmp_path / "run" / GOOD)[1]["step"] == 5


def test_a_run_that_may_not_go_back_ends_with_its_good_checkpoint(tmp_path, configure, dataset):
    def spoil(trainer: Trainer) -> None:
        if trainer.step == 7:
            with torch.no_grad():
                trainer.players.generator.head.weight[0] = float("nan")

    with pytest.raises(
        TrainingError, match=r"no longer a number at step 8; the last checkpoint is good"
    ):
        go(configure(steps=40, epochs=40), dataset, tmp_path / "run", "continue", spoil)
    assert unpack(tmp_path / "run" / CHECKPOINT)[1]["step"] == 5
    assert (
        read_run(tmp_path / "run").training.images_seen == 40
    )  # the generator of step 6, not that of step 9


def spoil_once(trainer: Trainer) -> None:
    """Spoils the first way, which a run that goes back does not take again."""
    if trainer.detour == 0 and trainer.step == 12:
        with torch.no_grad():
            trainer.players.generator.head.weight[0] = float("nan")


def die_going_back(config: RunConfig, dataset: Dataset, path: Path, writes: int) -> None:
    """Trains, and is killed after so many writes of the way back, before the next one."""
    torch.set_num_threads(1)
    left: list[int] = []

    def watch(event: str, details: tuple[object, ...]) -> None:
        if event != "os.rename":
            return
        if str(details[1]).endswith(DETOURS):  # the first write
            left.extend(range(writes))
        elif not (path / DETOURS).exists():
            return
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left.pop()

    sys.addaudithook(watch)
    go(config, dataset, path, "rollback", spoil_once)


@pytest.mark.parametrize("writes", range(5))
def test_a_run_that_is_killed_while_it_goes_back_goes_on_all_the_same(
    tmp_path, configure, dataset, writes
):
    config = configure(steps=20, epochs=40, sample_steps=10_000)
    go(config, dataset, tmp_path / "whole", "rollback", spoil_once)
    process = FORKS.Process(target=die_going_back, args=(config, dataset, tmp_path / "run", writes))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resume(config, dataset, tmp_path / "run")
    for name in (
        CHECKPOINT,
        GOOD,
        DETOURS,
        "metrics.jsonl",
        "metrics.abandoned-1.jsonl",
        "generator.safetensors",
    ):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (
            name
        )


def resume(config: RunConfig, dataset: Dataset, path: Path) -> None:
    trainer = Trainer(config, dataset)
    trainer.resume(path / CHECKPOINT)
    take_a_wrong_way(trainer, spoil_once)
    train(trainer, RunFolder(path), Progress(20), Stop(), Cadence(steps=5), on_collapse="rollback")


def test_an_entry_takes_the_place_of_one_that_a_killed_process_wrote(tmp_path):
    for number, step in ((1, 10), (2, 30), (2, 20)):
        note(tmp_path / "detours.json", {"detour": number, "from_step": step})
    assert [
        entry["from_step"] for entry in json.loads((tmp_path / "detours.json").read_text())
    ] == [10, 20]
