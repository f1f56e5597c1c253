"""A training step against a plain training loop, and the effect of each option of the recipe."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from dcgan.training.config import Recipe
from dcgan.training.data.augment import DRAWS, perturb
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.loader import BatchLoader, TrainingBatch
from dcgan.training.engine.state import create_training_state
from dcgan.training.engine.step import TrainingStep
from dcgan.training.monitor.step_metrics import STEP_METRICS
from dcgan.training.recipe_files import load_recipe

pytestmark = pytest.mark.numerical


CPU = torch.device("cpu")


def plain_generator() -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False),
        nn.BatchNorm2d(512),
        nn.ReLU(True),
    ]

    for width in (512, 256, 128):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())


def plain_discriminator() -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
    ]

    for width in (64, 128, 256):
        layers += [
            nn.Conv2d(width, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.LeakyReLU(0.2, True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Sigmoid())


class PlainLoop:
    """The seed's loop, written plainly: sigmoid, binary cross entropy, two backward passes."""

    def __init__(self) -> None:
        self.generator, self.discriminator = plain_generator(), plain_discriminator()
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step(self, real: torch.Tensor, noise: torch.Tensor) -> list[float]:
        criterion, ones, zeros = nn.BCELoss(), torch.ones(len(real)), torch.zeros(len(real))
        self.discriminator.zero_grad()
        score_d = self.discriminator(real).view(-1)
        loss_real = criterion(score_d, ones)
        loss_real.backward()
        fake = self.generator(noise)
        score_g1 = self.discriminator(fake.detach()).view(-1)
        loss_fake = criterion(score_g1, zeros)
        loss_fake.backward()
        self.discriminator_gradients = [p.grad.clone() for p in self.discriminator.parameters()]
        self.adam_d.step()
        self.generator.zero_grad()
        score_g2 = self.discriminator(fake).view(-1)
        loss_g = criterion(score_g2, ones)
        loss_g.backward()
        self.adam_g.step()
        loss_d = loss_real + loss_fake
        return [x.mean().item() for x in (loss_d, loss_g, score_d, score_g1, score_g2)]


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_steps_of_the_seed_recipe_equal_the_plain_loop():
    """Two implementations add in different orders, so they are compared in float64.

    In Adam's first steps a weight moves by the learning rate times the sign of its gradient. Where
    a gradient is close to zero, rounding decides that sign, and in float32 the weights of the two
    differ by whole steps after one update, more on some processors than on others. In float64 an
    error of 1e-14 in a gradient becomes at most rate / eps * 1e-14 = 2e-10 in a weight (rate 2e-4,
    eps 1e-8), which moves the metrics of the second step by a relative 1e-9 or so. The tolerances
    leave a factor of ten and more.
    """
    recipe = load_recipe("dcgan64-seed")
    state = create_training_state(recipe, 0, CPU)
    plain = PlainLoop()
    pairs = ((state.generator, plain.generator), (state.discriminator, plain.discriminator))
    for network, reference in pairs:
        with torch.no_grad():
            for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
                theirs.copy_(ours)
    step = TrainingStep(recipe, state, "fp32")
    random = torch.Generator().manual_seed(1)

    for _ in range(2):
        real = torch.rand((4, 3, 64, 64), generator=random) * 2 - 1
        z = torch.randn((4, 100), generator=random)
        metrics = step(TrainingBatch(real=real, z=z, augment=torch.zeros(3, 4, DRAWS)))
        expected = plain.step(real, z[:, :, None, None])
        assert metrics[:5].tolist() == pytest.approx(expected, rel=1e-8)
        found = [p.grad for network, _ in pairs for p in network.parameters()]
        wanted = [p.grad for p in plain.generator.parameters()] + plain.discriminator_gradients
        for ours, theirs in zip(found, wanted, strict=True):
            assert (ours - theirs).abs().max() <= 1e-8 * theirs.abs().max()

    for network, reference in pairs:
        state = zip(network.state_dict().values(), reference.state_dict().values(), strict=True)
        differences = torch.cat([(ours - theirs).abs().flatten() for ours, theirs in state])
        assert differences.max() < 1e-8


def run_steps(
    recipe: Recipe, dataset: Dataset, steps: int, precision: str = "fp32", seed: int = 0
) -> torch.Tensor:
    state = create_training_state(recipe, seed, CPU)
    step, loader = TrainingStep(recipe, state, precision), BatchLoader(dataset, recipe, seed, CPU)
    rows = [step(loader.batch(i)) for i in range(steps)]
    weights = torch.cat([p.detach().flatten() for p in state.generator.parameters()])
    return torch.cat([torch.stack(rows).flatten(), weights])


def test_equal_seeds_give_equal_bits_and_others_do_not(small, dataset):
    recipe = replace(small, flip=True, augment=("colour", "translation", "cutout"))
    assert torch.equal(run_steps(recipe, dataset, 3), run_steps(recipe, dataset, 3))
    assert not torch.equal(run_steps(recipe, dataset, 3), run_steps(recipe, dataset, 3, seed=1))


def test_images_are_augmented_as_often_as_the_recipe_says(small, dataset):
    never, always = (
        replace(small, augment=("colour",), augment_probability=share) for share in (0.0, 1.0)
    )
    assert torch.equal(run_steps(never, dataset, 2), run_steps(small, dataset, 2))
    assert not torch.equal(run_steps(always, dataset, 2), run_steps(small, dataset, 2))


def test_the_spectral_norm_is_computed_once_for_both_calls_in_a_phase(small, dataset):
    recipe = replace(
        small, loss="relativistic", discriminator=replace(small.discriminator, norm="spectral")
    )
    state = create_training_state(recipe, 0, CPU)
    taken = []
    for name, module in state.discriminator.named_modules():
        if type(module).__name__ == "_SpectralNorm":
            module.register_forward_hook(lambda *_, name=name: taken.append(name))
    TrainingStep(recipe, state, "fp32")(BatchLoader(dataset, recipe, 0, CPU).batch(0))

    assert sorted(taken) == sorted(2 * list(dict.fromkeys(taken)))  # D's phase and G's
    assert len(taken) == 2 * (len(state.discriminator.hidden) + 1)


@pytest.mark.parametrize("loss", ["bce", "hinge", "relativistic"])
@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_every_loss_and_norm_trains_both_networks(small, dataset, loss, norm):
    recipe = replace(small, loss=loss, discriminator=replace(small.discriminator, norm=norm))
    state = create_training_state(recipe, 0, CPU)
    before = [
        [p.detach().clone() for p in network.parameters()]
        for network in (state.generator, state.discriminator)
    ]
    row = TrainingStep(recipe, state, "fp32")(BatchLoader(dataset, recipe, 0, CPU).batch(0))

    assert row.shape == (len(STEP_METRICS),)
    assert torch.isfinite(row).all()
    assert ((row[2:5] > 0) & (row[2:5] < 1)).all()
    assert 0 < row[5] < 2
    for network, old in zip((state.generator, state.discriminator), before, strict=True):
        moved = [not torch.equal(a, b) for a, b in zip(network.parameters(), old, strict=True)]
        assert (
            sum(moved) >= len(moved) - 1
        )  # the relativistic loss does not see the bias of D's last layer
        assert all(p.requires_grad for p in network.parameters())


def conditional(small: Recipe, **changes: object) -> Recipe:
    return replace(
        small,
        generator=replace(small.generator, classes=2),
        discriminator=replace(small.discriminator, classes=2, **changes),
    )


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_classes_change_the_output_of_both_networks_and_are_trained(small, dataset, norm):
    recipe = conditional(small, norm=norm)
    state = create_training_state(recipe, 0, CPU)
    batch = BatchLoader(dataset, recipe, 0, CPU).batch(0)
    names = {"scale", "shift", "projection"}
    before = {
        f"{i}.{name}": p.detach().clone()
        for i, network in enumerate((state.generator, state.discriminator))
        for name, p in network.named_parameters()
        if names & set(name.split("."))
    }

    assert len(before) == 2 * 3 + 1
    TrainingStep(recipe, state, "fp32")(batch)
    for i, network in enumerate((state.generator, state.discriminator)):
        for name, p in network.named_parameters():
            if f"{i}.{name}" in before:
                assert (p != before[f"{i}.{name}"]).flatten(1).any(1).all(), (
                    name
                )  # for both classes
    z = torch.randn(2, 6)
    with torch.no_grad():
        cats, dogs = (state.generator.eval()(z, torch.full((2,), label)) for label in (0, 1))
        assert not torch.equal(cats, dogs)
        judged = [state.discriminator.eval()(cats, torch.full((2,), label)) for label in (0, 1)]
        assert not torch.equal(*judged)


def test_a_batch_carries_the_classes_of_its_images(small, dataset):
    batch = BatchLoader(dataset, conditional(small), 0, CPU).batch(1)
    flat = torch.from_numpy(dataset.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    places = [int((flat == image).flatten(1).all(1).nonzero()) for image in batch.real]
    assert batch.label.tolist() == dataset.labels[places].tolist()
    assert BatchLoader(dataset, small, 0, CPU).batch(1).label is None


def test_gradient_penalties_are_the_squared_gradient_of_the_discriminator(small, dataset):
    plain = replace(small, discriminator=replace(small.discriminator, norm="none"))
    batch = BatchLoader(dataset, plain, 0, CPU).batch(0)

    def gradient_of_head(recipe: Recipe) -> torch.Tensor:
        state = create_training_state(recipe, 0, CPU)
        state.discriminator_adam.step = lambda: None
        TrainingStep(recipe, state, "fp32").train_discriminator(batch)
        return state.discriminator.head.weight.grad

    state = create_training_state(plain, 0, CPU)
    images = batch.real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(state.discriminator(images).sum(), images, create_graph=True)
    penalty = slope.square().sum() / len(images)
    (expected,) = torch.autograd.grad(penalty * 1.5, state.discriminator.head.weight)
    found = gradient_of_head(replace(plain, r1=3.0)) - gradient_of_head(plain)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-8)
    assert not torch.equal(gradient_of_head(replace(plain, r2=3.0)), gradient_of_head(plain))


def test_lazy_penalties_weigh_more_and_are_left_out_of_the_steps_between(small, dataset):
    """Lazy regularization (Karras et al. 2020)."""
    norm = replace(small.discriminator, norm="none")
    plain = replace(small, discriminator=norm)
    lazy = replace(plain, r1=1.0, r2=2.0, penalty_every=3)
    thrice = replace(plain, r1=3.0, r2=6.0)
    loader = BatchLoader(dataset, lazy, 0, CPU)
    assert [loader.batch(step).penalized for step in range(5)] == [True, False, False, True, False]

    def weights(recipe: Recipe, step: int) -> torch.Tensor:
        state = create_training_state(recipe, 0, CPU)
        TrainingStep(recipe, state, "fp32")(loader.batch(step))
        return torch.cat([p.detach().flatten() for p in state.discriminator.parameters()])

    assert torch.equal(weights(lazy, 1), weights(plain, 1))
    assert torch.allclose(weights(lazy, 3), weights(thrice, 3), atol=1e-6)
    assert not torch.allclose(weights(lazy, 3), weights(plain, 3), atol=1e-6)


@pytest.mark.usefixtures("in_float64")
def test_consistency_regularization_penalizes_what_a_shift_changes(small, dataset):
    """The gradient of the added term, computed once more from the definition of bCR."""
    plain = replace(small, discriminator=replace(small.discriminator, norm="none"))
    regularized = replace(plain, consistency=10.0, flip=True)
    batch = BatchLoader(dataset, regularized, 0, CPU).batch(0)
    batch = replace(
        batch, real=batch.real.double(), z=batch.z.double(), augment=batch.augment.double()
    )

    def gradients(recipe: Recipe) -> list[torch.Tensor]:
        state = create_training_state(recipe, 0, CPU)
        TrainingStep(recipe, state, "fp32").train_discriminator(batch)
        return [weight.grad for weight in state.discriminator.parameters()]

    state = create_training_state(plain, 0, CPU)
    fake = state.generator(batch.z).detach()
    terms = []
    for images, draws in ((batch.real, batch.augment[3]), (fake, batch.augment[4])):
        changed = perturb(images, draws, flip=True)
        terms.append((state.discriminator(images) - state.discriminator(changed)).square().mean())
    (10.0 * sum(terms)).backward()

    expected = [weight.grad for weight in state.discriminator.parameters()]
    scale = max(gradient.abs().max() for gradient in expected)
    pairs = zip(gradients(regularized), gradients(replace(plain, flip=True)), strict=True)
    for (found, without), gradient in zip(pairs, expected, strict=True):
        assert torch.allclose(found - without, gradient, rtol=1e-7, atol=1e-9 * scale)


def test_consistency_regularization_leaves_all_other_random_numbers_as_they_are(small, dataset):
    batch = BatchLoader(dataset, small, 0, CPU).batch(1)
    regularized = BatchLoader(dataset, replace(small, consistency=1.0), 0, CPU).batch(1)
    assert torch.equal(regularized.augment[:3], batch.augment)
    assert regularized.augment.shape == (5, *batch.augment.shape[1:])
    assert torch.equal(regularized.z, batch.z)


def test_bf16_is_near_fp32(small, dataset):
    near = run_steps(small, dataset, 2, "bf16") - run_steps(small, dataset, 2)
    assert near.abs().max() < 0.05
    assert near.abs().max() > 0
