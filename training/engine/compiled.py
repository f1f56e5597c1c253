"""torch.compile of a step: its forward and backward passes, losses and spectral norms."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from dcgan.training.data.loader import TrainingBatch
from dcgan.training.engine.snapshot import undone
from dcgan.training.engine.state import TrainingState
from dcgan.training.engine.step import TrainingStep

_LOG = logging.getLogger(__name__)

_PASSES = ("generate", "discriminator_losses", "generator_losses")
_SPECTRAL_NORM = ("iterate", "normalize", "backward")


def compile_step(step: TrainingStep, state: TrainingState, batch: TrainingBatch) -> bool:
    """Compiles a step for batches of this size; other batches are computed without compilation.

    Code is compiled when it first runs, so one step is computed and undone. If that fails, for
    example because there is no compiler, one warning says why, and the step stays as it is.

    Args:
        step: to compile. It needs weight copies, because torch's spectral normalization cannot be
            compiled.
        state: what the step trains; it is not changed.
        batch: a full one.

    Returns:
        Whether the step is compiled.
    """
    compiled: list[tuple[object, str]] = []
    try:
        for owner, name, function in _compiled_methods(step, len(batch.real)):
            setattr(owner, name, function)
            compiled.append((owner, name))
        with undone(state), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # compilers warn about what they do themselves
            step(batch)
    except Exception as error:  # noqa: BLE001 - compilers fail in many ways
        for owner, name in compiled:
            delattr(owner, name)  # which uncovers the method
        _LOG.warning(
            "torch.compile failed, so steps are computed without it (%s: %.300s)",
            type(_cause(error)).__name__,
            _first_line(_cause(error)),
        )
        return False
    return True


def _compiled_methods(
    step: TrainingStep, size: int
) -> Iterator[tuple[object, str, Callable[..., Any]]]:
    """Yields what to put in the place of which methods, by owner and name."""
    passes = step.passes
    for name in _PASSES:
        yield passes, name, _ForFullBatches(getattr(passes, name), size)

    spectral_norm = passes.discriminator_copies and passes.discriminator_copies.spectral_norm
    if spectral_norm:
        for name in _SPECTRAL_NORM:
            yield spectral_norm, name, torch.compile(getattr(spectral_norm, name), dynamic=False)


class _ForFullBatches:
    """A function that is compiled for one batch size, the first dimension of its first argument.

    The last batch of an epoch may be smaller; it is not worth a compilation.
    """

    def __init__(self, plain: Callable[..., Any], size: int) -> None:
        self._plain = plain
        self._compiled = torch.compile(plain, dynamic=False)
        self._size = size

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - those of the function
        function = self._compiled if len(args[0]) == self._size else self._plain
        return function(*args)


def _cause(error: Exception) -> Exception:
    """Returns the error of the compiler, which torch wraps in one that says "inductor raised:"."""
    cause = getattr(error, "inner_exception", None)
    return cause if isinstance(cause, Exception) else error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), "no reason given")
