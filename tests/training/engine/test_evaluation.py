"""--evaluate-every: what is recorded, which generator is kept, and that training stays the same."""

from __future__ import annotations

import io
import json
import math

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.trainer import Trainer
from dcgan.training.errors import TrainingError
from dcgan.training.monitor.curves import draw_curves
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.quality import EvaluationPlan, Quality
from dcgan.training.run_folder import BEST, CURVES, METRICS, RunFolder, read_run
from dcgan.training.tensor_file import read_tensors

pytestmark = pytest.mark.slow

STEPS = 12


class Judge:
    """Gives distances in turn and remembers the first weight of each generator."""

    def __init__(self, *distances):
        self.distances = list(distances)
        self.seen = []

    def __call__(self, generator):
        assert not generator.training
        torch.rand(0)
        self.seen.append(next(generator.parameters()).flatten()[0].item())
        return Quality(distance=self.distances[len(self.seen) - 1], error=0.5)


@pytest.fixture
def run(configure, dataset, tmp_path):
    """Trains in a folder, from its checkpoint if it has one, up to a step.

    If the weights are harmed after a step, the run is rolled back to step 5.
    """

    def run(name, judge=None, until=STEPS, every=3, harmed_after=None):
        trainer = Trainer(configure(steps=STEPS), dataset)
        train_step = trainer.train_step

        def train_harmed():
            if trainer.step == harmed_after and trainer.rollbacks == 0:
                with torch.no_grad():
                    trainer.state.generator.head.weight[0] = math.nan
            return train_step()

        trainer.train_step = train_harmed
        folder = RunFolder(tmp_path / name)
        if (folder.path / "checkpoint.safetensors").exists():
            trainer.load_checkpoint(folder.path / "checkpoint.safetensors")
        else:
            folder.create(trainer.config)

        out = io.StringIO()
        stop = StopAt(trainer, until)
        plan = None if judge is None else EvaluationPlan(every=every, evaluate=judge)
        progress = Progress(STEPS, trainer.step, out=out)
        train(
            trainer,
            folder,
            progress,
            stop,
            CheckpointSchedule(steps=5 if harmed_after else None),
            on_collapse="rollback" if harmed_after else "continue",
            evaluation=plan,
        )
        return folder.path, out.getvalue()

    return run


class StopAt(StopSignal):
    """A request to stop after a step."""

    def __init__(self, trainer, step):
        super().__init__()
        self._trainer = trainer
        self._step = step

    @property
    def requested(self):
        return self._trainer.step >= self._step


def rows(path):
    return [json.loads(line) for line in (path / METRICS).read_text().splitlines()]


def test_evaluated_steps_have_the_distance_in_their_row(run):
    path, text = run("a", Judge(9.0, 4.123456, 7.0, 5.0))
    found = {row["step"]: row["kd_lite0_x1000"] for row in rows(path) if "kd_lite0_x1000" in row}
    assert found == {3: 9.0, 6: 4.1235, 9: 7.0, 12: 5.0}
    assert rows(path)[5]["kd_lite0_x1000_error"] == 0.5
    assert len(rows(path)) == STEPS
    assert "step 6: KD-Lite0 x1000 = 4.12 +- 0.50, the best so far\n" in text
    assert "step 9: KD-Lite0 x1000 = 7.00 +- 0.50\n" in text


def test_the_generator_with_the_smallest_distance_is_kept(run):
    judge = Judge(9.0, 4.0, 7.0, 5.0)
    path, _ = run("a", judge)
    tensors, facts = read_tensors(path / BEST)
    assert facts == {"step": 6, "images_seen": 40}
    best = read_run(path, best=True)
    assert next(best.generator.parameters()).flatten()[0].item() == judge.seen[1]
    assert (best.training.steps, best.training.images_seen) == (6, 40)
    assert not best.training.stopped_early
    assert best.training.changes[-1].value == "the best of 12 steps by KD-Lite0, step 6"
    assert read_run(path).training.steps == STEPS
    assert tensors.keys() == best.generator.state_dict().keys()


def test_a_run_that_was_never_evaluated_has_no_best_generator(run):
    path, _ = run("a")
    with pytest.raises(TrainingError, match="has no best.safetensors: no step was evaluated"):
        read_run(path, best=True)


def test_training_is_the_same_to_the_bit_with_and_without_evaluation(run):
    plain, _ = run("plain")
    judged, _ = run("judged", Judge(4.0, 3.0, 2.0, 1.0))
    for name in ("checkpoint.safetensors", "generator.safetensors", "discriminator.safetensors"):
        assert (plain / name).read_bytes() == (judged / name).read_bytes(), name
    without = [{key: row[key] for key in row if not key.startswith("kd_")} for row in rows(judged)]
    assert without == rows(plain)


def test_a_resumed_run_ends_as_an_uninterrupted_one(run):
    whole, _ = run("whole", Judge(9.0, 4.0, 7.0, 5.0))
    run("parts", Judge(9.0, 4.0), until=7)
    parts, _ = run("parts", Judge(7.0, 5.0))
    for name in ("checkpoint.safetensors", BEST, METRICS, CURVES):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name


def test_a_rollback_keeps_the_best_generator_of_all_steps(run):
    judge = Judge(9.0, 4.0, 8.0, 7.0, 6.0, 5.0)  # of steps 3, 6 and 9, then 6, 9 and 12
    path, text = run("a", judge, harmed_after=9)
    assert "rolled back to step 5;" in text
    found = {row["step"]: row["kd_lite0_x1000"] for row in rows(path) if "kd_lite0_x1000" in row}
    assert found == {3: 9.0, 6: 7.0, 9: 6.0, 12: 5.0}
    (abandoned,) = path.glob("metrics.abandoned-*.jsonl")
    assert '"kd_lite0_x1000": 4.0' in abandoned.read_text()
    assert read_tensors(path / BEST)[1]["step"] == 6
    best = read_run(path, best=True)
    assert next(best.generator.parameters()).flatten()[0].item() == judge.seen[1]


def test_a_distance_that_is_not_finite_is_not_recorded(run):
    path, _ = run("a", Judge(9.0, math.nan, 7.0, math.inf))
    assert [row["step"] for row in rows(path) if "kd_lite0_x1000" in row] == [3, 9]
    assert read_tensors(path / BEST)[1]["step"] == 9


def test_tensorboard_and_the_curves_show_the_distance(run):
    path, _ = run("a", Judge(9.0, 4.0, 7.0, 5.0))
    values = {
        event.step: value.simple_value or value.tensor.float_val[0]
        for file in (path / "tensorboard").iterdir()
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.tag == "kd_lite0_x1000"
    }
    assert values == {3: 9.0, 6: 4.0, 9: 7.0, 12: 5.0}
    plain, _ = run("plain")
    assert draw_curves(path / METRICS) != draw_curves(plain / METRICS)
