"""Adaptive augmentation: how the share of augmented images follows the discriminator."""

import io
import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dcgan.training.config import Recipe
from dcgan.training.engine.adaptive_augmentation import BATCHES, AdaptiveAugmentation
from dcgan.training.engine.checkpoint_schedule import CheckpointSchedule
from dcgan.training.engine.loop import train
from dcgan.training.engine.signals import StopSignal
from dcgan.training.engine.snapshot import undone
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.trainer import Trainer
from dcgan.training.monitor.progress import Progress
from dcgan.training.monitor.step_metrics import STEP_METRICS, step_metrics
from dcgan.training.run_folder import RunFolder

CPU = torch.device("cpu")
ADAPTIVE: dict[str, object] = {
    "augment": ("colour", "translation", "cutout"),
    "augment_probability": 0.5,
    "augment_target": 0.6,
    "augment_images": 256,
}
CHANGE = 0.125  # of the share: four batches of 8 images in 256


@pytest.fixture
def recipe(small: Recipe) -> Recipe:
    return replace(small, **ADAPTIVE)


def shares(recipe: Recipe, signs: list[float]) -> list[float]:
    """Returns the share after each batch with these mean signs."""
    adaptive = AdaptiveAugmentation(recipe, CPU)
    found = []
    for sign in signs:
        adaptive.update(torch.tensor(sign))
        found.append(adaptive.probability.item())
    return found


def test_the_share_rises_above_the_target_and_falls_below_it(recipe):
    rises = shares(recipe, [0.75] * 2 * BATCHES)
    assert rises == [0.5] * 3 + [0.5 + CHANGE] * 4 + [0.5 + 2 * CHANGE]
    falls = shares(recipe, [0.5] * 2 * BATCHES)
    assert falls == [0.5] * 3 + [0.5 - CHANGE] * 4 + [0.5 - 2 * CHANGE]


def test_the_mean_of_four_batches_decides_and_each_batch_counts_once(recipe):
    assert shares(recipe, [1.0, 1.0, 1.0, -0.5])[-1] == 0.5 + CHANGE  # 0.625 on average
    assert shares(recipe, [1.0, 1.0, 1.0, -0.75])[-1] == 0.5 - CHANGE  # 0.5625
    # The first four batches leave nothing behind.
    assert shares(recipe, [1.0] * 4 + [0.5] * 4)[-1] == 0.5


def test_the_share_goes_from_0_to_1_in_the_images_of_the_recipe_and_no_further(recipe):
    batches = recipe.augment_images // recipe.batch_size
    rises = shares(replace(recipe, augment_probability=0.0), [1.0] * 2 * batches)
    assert rises[batches - 2] < rises[batches - 1] == 1.0 == rises[-1]
    falls = shares(replace(recipe, augment_probability=1.0), [-1.0] * 2 * batches)
    assert falls[batches - 2] > falls[batches - 1] == 0.0 == falls[-1]


def test_a_step_measures_the_sign_and_reports_its_share(configure, dataset):
    trainer = Trainer(configure(steps=8, **{**ADAPTIVE, "augment_probability": 0.0}), dataset)
    with torch.no_grad():
        batch = trainer.loader.batch(0)
        expected = trainer.state.discriminator(batch.real).sign().mean()
    reported = [trainer.train_step()[-1].item()]
    assert trainer.state.tensors()["augment.signs"] == expected

    reported += [trainer.train_step()[-1].item() for _ in range(BATCHES)]
    assert reported[:BATCHES] == [0.0] * BATCHES
    assert reported[BATCHES] == trainer.state.adaptive.probability.item()


def test_every_phase_augments_the_share_of_that_moment(configure, dataset, monkeypatch):
    seen = []

    def note(images, names, draws, probability):
        seen.append(float(probability))
        return images

    monkeypatch.setattr("dcgan.training.engine.passes.augment", note)
    trainer = Trainer(configure(**{**ADAPTIVE, "r1": 1.0}), dataset)
    trainer.state.adaptive.probability.fill_(0.25)
    trainer.train_step()
    assert seen == [0.25] * 4  # real and generated images, R1, and those of G's phase


def test_trial_steps_leave_the_share_as_it_was(configure, dataset):
    trainer = Trainer(configure(steps=8, **ADAPTIVE), dataset)
    before = trainer.encode_checkpoint()
    with undone(trainer.state):
        for _ in range(BATCHES + 1):
            trainer.train_step()
    trainer.step = 0
    assert trainer.encode_checkpoint() == before


def test_a_run_resumes_to_the_same_bytes(configure, dataset, tmp_path):
    config = configure(steps=12, **ADAPTIVE)
    whole, first, second = (Trainer(config, dataset) for _ in range(3))
    for _ in range(12):
        whole.train_step()
    assert whole.state.adaptive.probability != 0.5

    for _ in range(6):  # between two changes
        first.train_step()
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(first.encode_checkpoint())
    second.load_checkpoint(checkpoint)
    for _ in range(6):
        second.train_step()
    assert second.encode_checkpoint() == whole.encode_checkpoint()


def test_other_recipes_have_no_further_tensor_and_no_further_metric(small, recipe):
    plain = replace(recipe, augment_target=0.0)
    names = create_training_state(plain, 0, CPU).tensors().keys()
    assert names == create_training_state(small, 0, CPU).tensors().keys()
    added = create_training_state(recipe, 0, CPU).tensors().keys() - names
    assert added == {"augment.probability", "augment.signs", "augment.batches"}
    assert step_metrics(plain) == STEP_METRICS


@pytest.mark.slow
@pytest.mark.parametrize("adapts", [True, False])
def test_only_adaptive_runs_record_and_show_the_share(configure, dataset, tmp_path, adapts):
    config = configure(steps=6, **{**ADAPTIVE, "augment_target": 0.6 * adapts})
    folder = RunFolder(tmp_path / "run")
    folder.create(config)
    shown = io.StringIO()
    progress = Progress(6, out=shown)
    train(Trainer(config, dataset), folder, progress, StopSignal(), CheckpointSchedule())

    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    found = [row.get("augment_probability") for row in rows]
    assert found == ([0.5] * 4 + [found[4]] * 2 if adapts else [None] * 6)
    assert (found[4] in (0.5 + CHANGE, 0.5 - CHANGE)) == adapts
    assert ("augment_probability 0." in shown.getvalue()) == adapts

    events = EventAccumulator(str(folder.path / "tensorboard"))
    events.Reload()
    assert ("augment_probability" in events.Tags()["scalars"]) == adapts
    with Image.open(folder.path / "history.png") as curves:
        assert curves.height == (1100 if adapts else 800)
