"""Progress of a run: a bar on a terminal, a plain line every 15 seconds in a log."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

import torch
from tqdm import tqdm

_LINE_SECONDS = 15.0

# Figures beside the bar are written again so often; reading the memory of a GPU takes time.
_BAR_SECONDS = 0.2

# The speed of a run is known after so many seconds.
_HINT_SECONDS = 10.0


class Progress:
    """Shows steps, images per second, the time left, metrics and memory.

    Args:
        steps: of the whole run.
        first_step: steps already done.
        out: where to print.
        device: whose memory is shown, "cpu" or "cuda".
        hint: called once with the estimated seconds of the whole run; a sentence that it returns is
            printed.
    """

    def __init__(
        self,
        steps: int,
        first_step: int = 0,
        out: TextIO = sys.stderr,
        device: str = "cpu",
        hint: Callable[[float], str | None] = lambda _: None,
    ) -> None:
        self._steps = steps
        self._device = device
        self._out = out
        self._hint = hint
        self._hinted = False
        self._bar = None
        if out.isatty():
            self._bar = tqdm(total=steps, initial=first_step, unit="step", file=out)

        # The rate is counted from the first step shown, because that step also warms up.
        self._start = time.monotonic()
        self._shown = self._start
        self._first_step = first_step
        self._first_images: int | None = None

    def show(self, step: int, images: int, metrics: dict[str, float]) -> None:
        """Shows that a step is done.

        Args:
            step: steps done.
            images: real images seen.
            metrics: to show with them.
        """
        now = time.monotonic()
        has_gone_back = step < self._first_step
        if self._first_images is None or has_gone_back:
            self._start = now
            self._first_step = step
            self._first_images = images

        self._maybe_hint(step, now)
        if self._bar is not None:
            if now - self._shown >= _BAR_SECONDS or step == self._steps:
                self._shown = now
                self._bar.set_postfix_str(self._text(images, now, metrics), refresh=False)
            self._bar.update(step - self._bar.n)
            return

        if now - self._shown >= _LINE_SECONDS or step == self._steps:
            self._shown = now
            seconds = (self._steps - step) * (now - self._start) / max(step - self._first_step, 1)
            left = format_duration(seconds)
            text = self._text(images, now, metrics)
            print(f"step {step}/{self._steps} {text} left {left}", file=self._out, flush=True)

    def _text(self, images: int, now: float, metrics: dict[str, float]) -> str:
        rate = (images - (self._first_images or 0)) / max(now - self._start, 1e-9)
        values = "".join(f" {name} {value:.3f}" for name, value in metrics.items())
        return f"{rate:,.0f} images/s{values} memory {memory_gib(self._device):.1f} GiB"

    def _maybe_hint(self, step: int, now: float) -> None:
        """Prints the hint once the speed is known."""
        seconds = now - self._start
        if self._hinted or seconds < _HINT_SECONDS or step <= self._first_step:
            return
        self._hinted = True
        sentence = self._hint(seconds / (step - self._first_step) * self._steps)
        if sentence is not None:
            self.print(sentence)

    def print(self, message: str) -> None:
        """Prints a message, above the bar if there is one."""
        tqdm.write(message, file=self._out)

    def close(self) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()


def format_duration(seconds: float) -> str:
    """Writes a duration in its two largest units, such as "17 h 4 min"."""
    rest = round(seconds)
    days, rest = divmod(rest, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((i for i, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])


def memory_gib(device: str) -> float:
    """Returns the peak memory of this process in GiB: of the GPU if it computes there."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def decoding_progress(numbers: Iterable[int]) -> Iterator[int]:
    """Passes numbers on and counts them in a bar on a terminal; prints nothing in a log."""
    return iter(tqdm(numbers, desc="decoding", unit="image", disable=None, leave=False))
