"""The EMA of the generator."""

from dataclasses import replace

import pytest
import torch

from dcgan.training.models.ema import EMA
from dcgan.training.models.networks import Generator

pytestmark = pytest.mark.numerical


def make_ema(generator: Generator, half_life: int = 80) -> EMA:
    return EMA(generator, half_life=half_life, batch_size=8, seed=0)


def statistics(ema: EMA) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in ema.generator.named_buffers()}


def test_it_moves_towards_the_weights_by_its_half_life(small):
    torch.manual_seed(0)
    start, target = Generator(small.generator), Generator(small.generator)
    ema = make_ema(start)
    ema.update(target, images_seen=10_000)  # 8 images are a tenth of the half-life
    difference = target.head.weight - start.head.weight
    expected = start.head.weight + difference * (1 - 0.5**0.1)
    assert torch.allclose(ema.generator.head.weight, expected)


def test_it_moves_faster_early_in_a_run(small):
    torch.manual_seed(0)
    target = Generator(small.generator)
    ema = make_ema(Generator(small.generator))
    ema.update(target, images_seen=8)
    assert torch.allclose(ema.generator.head.weight, target.head.weight, atol=0.01)


def test_its_statistics_are_those_of_its_own_weights(small):
    torch.manual_seed(0)
    ema = make_ema(Generator(small.generator))
    ema.estimate_statistics()

    assert not ema.generator.training
    z = torch.randn(4096, small.generator.latent_size)
    with torch.no_grad():
        features = ema.generator.hidden[0].conv(z[:, :, None, None])
    found = statistics(ema)
    mean = features.mean(dim=(0, 2, 3))
    variance = features.var(dim=(0, 2, 3))
    assert torch.allclose(found["hidden.0.norm.running_mean"], mean, atol=0.05)
    assert torch.allclose(found["hidden.0.norm.running_var"], variance, rtol=0.2)


@pytest.mark.parametrize("classes", [12, 200])
def test_its_statistics_are_those_of_all_classes(small, classes, monkeypatch):
    config = replace(small.generator, classes=classes)
    ema = make_ema(Generator(config))  # in batches of 8
    labels = []
    forward = ema.generator.forward
    monkeypatch.setattr(
        ema.generator, "forward", lambda z, label: labels.extend(label) or forward(z, label)
    )
    ema.estimate_statistics()
    assert {int(label) for label in labels} == set(range(classes))


def test_its_statistics_are_estimated_once_for_the_same_weights(small):
    ema = make_ema(Generator(small.generator))
    ema.estimate_statistics()
    before = statistics(ema)
    ema.generator.train()  # a second estimate would end in eval mode
    ema.estimate_statistics()
    assert ema.generator.training
    assert all(torch.equal(before[name], value) for name, value in statistics(ema).items())


@pytest.mark.parametrize("change", ["update", "uncounted update", "load"])
def test_its_statistics_are_estimated_again_for_other_weights(small, change, monkeypatch):
    def lerp_uncounted(weights, targets, share):
        for weight, target in zip(weights, targets, strict=True):
            weight.data.lerp_(target, share)  # does not change weight._version

    if change == "uncounted update":
        monkeypatch.setattr(torch, "_foreach_lerp_", lerp_uncounted)
    torch.manual_seed(0)
    ema = make_ema(Generator(small.generator))
    ema.estimate_statistics()
    before = statistics(ema)
    if change != "load":
        ema.update(Generator(small.generator), images_seen=8)
    else:
        with torch.no_grad():  # as a checkpoint is loaded
            ema.generator.hidden[0].conv.weight.copy_(
                torch.randn_like(ema.generator.hidden[0].conv.weight)
            )
    ema.estimate_statistics()
    after = statistics(ema)
    name = "hidden.0.norm.running_var"

    assert not torch.equal(before[name], after[name])


@pytest.mark.gpu
def test_its_statistics_are_estimated_again_on_a_gpu(small):
    torch.manual_seed(0)
    ema = make_ema(Generator(small.generator).to("cuda"))
    ema.estimate_statistics()
    before = statistics(ema)["hidden.0.norm.running_var"]
    ema.update(Generator(small.generator).to("cuda"), images_seen=8)
    ema.estimate_statistics()

    assert not torch.equal(before, statistics(ema)["hidden.0.norm.running_var"])
