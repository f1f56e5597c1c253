"""The trainer: steps, checkpoints and the generator to evaluate."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.engine.trainer import Trainer
from dcgan.training.switches import StepSwitches


def test_learning_rates_decay_as_the_recipe_says(configure, dataset):
    trainer = Trainer(configure(steps=4, decay_from=0.0), dataset)
    rates = []
    for _ in range(4):
        trainer.train_step()
        rates.append(trainer.state.generator_adam.param_groups[0]["lr"] / 2e-4)
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25])


ALL_SWITCHES = StepSwitches(weight_copies=True, one_pass=True, padded_channels=True)


@pytest.mark.parametrize("switches", [StepSwitches(), ALL_SWITCHES], ids=["plain", "switches"])
def test_a_checkpoint_continues_with_the_same_bits(configure, small, dataset, tmp_path, switches):
    discriminator = replace(small.discriminator, norm="spectral")
    config = configure(steps=9, ema_half_life=50, discriminator=discriminator)
    config = replace(config, switches=switches)
    trainer, twin = (Trainer(config, dataset) for _ in range(2))
    for _ in range(2):
        trainer.train_step()
    path = tmp_path / "checkpoint"
    path.write_bytes(trainer.encode_checkpoint())
    twin.load_checkpoint(path)

    assert (twin.step, twin.images_seen) == (2, 16)
    assert torch.equal(twin.train_step(), trainer.train_step())
    assert twin.encode_checkpoint() == trainer.encode_checkpoint()


def test_a_rewind_changes_the_random_numbers(configure, dataset):
    trainer, rolled_back = (Trainer(configure(), dataset) for _ in range(2))
    rolled_back.rollbacks = 1
    assert not torch.equal(trainer.train_step(), rolled_back.train_step())


@pytest.mark.parametrize("ema_half_life", [0, 50])
def test_the_generator_is_lent_in_eval_mode_and_trains_on(configure, dataset, ema_half_life):
    trainer = Trainer(configure(ema_half_life=ema_half_life), dataset)
    trainer.train_step()
    with trainer.eval_generator() as generator:
        assert not generator.training
        assert (generator is trainer.state.generator) == (ema_half_life == 0)
    assert trainer.state.generator.training


def test_after_a_checkpoint_is_loaded_the_average_is_that_of_the_checkpoint(
    configure, dataset, tmp_path
):
    trainer = Trainer(configure(ema_half_life=50), dataset)
    path = tmp_path / "checkpoint"
    path.write_bytes(trainer.encode_checkpoint())

    with trainer.eval_generator() as generator:
        before = {name: value.clone() for name, value in generator.state_dict().items()}
    trainer.train_step()
    with trainer.eval_generator() as generator:
        assert not torch.equal(generator.head.weight, before["head.weight"])
    trainer.load_checkpoint(path)
    with trainer.eval_generator() as generator:
        for name, value in generator.state_dict().items():
            assert torch.equal(value, before[name]), name
