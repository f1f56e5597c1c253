"""Undoing trial steps: those that warm up, compile or capture, and must not train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dcgan.training.engine.state import TrainingState


@contextmanager
def undone(state: TrainingState) -> Iterator[None]:
    """Restores the training state at the end of the block, bit for bit, also after an error.

    Every tensor of `TrainingState.tensors` gets back its old values in its old memory. Afterwards
    every weight has `requires_grad` set, and no gradient.

    Args:
        state: what the block may change.
    """
    tensors = [tensor.detach() for tensor in state.tensors().values()]
    saved = [tensor.clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, old in zip(tensors, saved, strict=True):
                tensor.copy_(old)
        for network in (state.generator, state.discriminator):
            network.requires_grad_(True)
            network.zero_grad()
