"""How far a run is: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

import torch
from tqdm import tqdm

_LINE_SECONDS = 15.0


class Progress:
    """Shows steps, images a second, the time that is left, the losses and the memory."""

    def __init__(
        self, steps: int, first_step: int = 0, out: TextIO = sys.stderr, device: str = "cpu"
    ) -> None:
        self._steps = steps
        self._device = device
        self._out = out
        self._start = self._shown = time.monotonic()
        self._first_step = first_step
        self._first_images: int | None = None
        self._bar = (
            tqdm(total=steps, initial=first_step, unit="step", file=out) if out.isatty() else None
        )

    def show(self, step: int, images: int, measures: dict[str, float]) -> None:
        """Tells of a step that is done."""
        now = time.monotonic()
        if (
            self._first_images is None or step < self._first_step
        ):  # a run that has collapsed may go back
            self._first_images, self._start, self._first_step = (
                images,
                now,
                step,
            )  # the first step also warms up
        rate = (images - self._first_images) / max(now - self._start, 1e-9)
        text = f"{rate:,.0f} images/s" + "".join(
            f" {name} {value:.3f}" for name, value in measures.items()
        )
        text += f" {memory_gib(self._device):.1f} GiB"
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif now - self._shown >= _LINE_SECONDS or step == self._steps:
            self._shown = now
            left = (self._steps - step) * (now - self._start) / max(step - self._first_step, 1)
            print(f"step {step}/{self._steps} {text} left {left:.0f} s", file=self._out, flush=True)

    def tell(self, sentence: str) -> None:
        """Prints a sentence, above the bar if there is one."""
        tqdm.write(sentence, file=self._out)

    def close(self) -> None:
        """Leaves the terminal as it should be."""
        if self._bar is not None:
            self._bar.close()


def memory_gib(device: str) -> float:
    """Memory that this process holds at most so far, in GiB: that of the GPU if it computes there."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def counting(numbers: Iterable[int]) -> Iterator[int]:
    """Passes numbers on and shows how many have come, on a terminal; silent in a log."""
    return iter(tqdm(numbers, desc="decoding", unit="image", disable=None, leave=False))
