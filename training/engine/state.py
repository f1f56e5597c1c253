"""The training state: both networks and their optimizers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dcgan.training.config import AdamConfig, Recipe
from dcgan.training.distributed import SINGLE_PROCESS, DistributedContext
from dcgan.training.models.networks import Discriminator, Generator, init_weights
from dcgan.training.models.sync_batch_norm import convert_sync_batch_norm


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Both networks and their optimizers, on one device, in channels-last order."""

    generator: Generator
    discriminator: Discriminator
    generator_adam: torch.optim.Adam
    discriminator_adam: torch.optim.Adam

    def tensors(self) -> dict[str, Tensor]:
        """Returns every tensor that a step changes, by name; the tensors themselves, no copies."""
        pairs = (
            ("generator", self.generator, self.generator_adam),
            ("discriminator", self.discriminator, self.discriminator_adam),
        )
        tensors: dict[str, Tensor] = {}
        for prefix, network, optimizer in pairs:
            for name, tensor in network.state_dict().items():
                tensors[f"{prefix}.{name}"] = tensor
            for name, parameter in network.named_parameters():
                for key, tensor in optimizer.state[parameter].items():
                    tensors[f"{prefix}_adam.{name}.{key}"] = tensor
        return tensors

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yields the name and the tensor of every trained weight of both networks."""
        for prefix, network in (
            ("generator", self.generator),
            ("discriminator", self.discriminator),
        ):
            for name, weight in network.named_parameters():
                yield f"{prefix}.{name}", weight


def create_training_state(
    recipe: Recipe,
    seed: int,
    device: torch.device,
    context: DistributedContext = SINGLE_PROCESS,
) -> TrainingState:
    """Creates both networks with random weights, and their optimizers.

    The weights are drawn on the CPU, so that a seed means the same weights on every device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(recipe.generator)
        discriminator = Discriminator(recipe.discriminator)
        init_weights(generator)
        init_weights(discriminator)

    for network in (generator, discriminator):
        convert_sync_batch_norm(network, context)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    return TrainingState(
        generator=generator,
        discriminator=discriminator,
        generator_adam=_create_adam(generator, recipe.generator_adam),
        discriminator_adam=_create_adam(discriminator, recipe.discriminator_adam),
    )


def set_learning_rates(state: TrainingState, recipe: Recipe, factor: float) -> None:
    """Sets both learning rates to those of the recipe, times a factor."""
    pairs = (
        (state.generator_adam, recipe.generator_adam),
        (state.discriminator_adam, recipe.discriminator_adam),
    )
    for optimizer, config in pairs:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                # A CUDA graph reads the rate from this tensor.
                group["lr"].fill_(config.rate * factor)
            else:
                group["lr"] = config.rate * factor


def _create_adam(network: nn.Module, config: AdamConfig) -> torch.optim.Adam:
    """Creates an optimizer with its moments, into which a checkpoint can be loaded."""
    device = next(network.parameters()).device
    cuda = device.type == "cuda"
    adam = torch.optim.Adam(
        network.parameters(),
        lr=torch.tensor(config.rate, device=device) if cuda else config.rate,
        betas=(config.beta1, config.beta2),
        fused=True,
        capturable=cuda,
    )
    for parameter in network.parameters():
        adam.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter.detach()),
            "exp_avg_sq": torch.zeros_like(parameter.detach()),
        }
    return adam
