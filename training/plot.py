"""A picture of a run's history: losses above, scores below."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dcgan.training.step import MEASURES

_POINTS = 500  # of a curve: each is the mean of as many steps as it takes


def draw_history(metrics: Path) -> bytes:
    """Draws metrics.jsonl of a run, as a PNG file."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    images = _thin(np.array([row["images"] for row in rows], dtype=np.float64))
    figure = Figure(figsize=(8, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    for name in MEASURES:
        axes = above if name.startswith("loss") else below
        axes.plot(images, _thin(np.array([row[name] for row in rows])), label=name, linewidth=1)
    above.set_ylabel("loss")
    below.set_ylabel("mean probability of being real")
    below.set_xlabel("real images seen")
    below.set_ylim(0, 1)
    for axes in (above, below):
        axes.legend(loc="upper right")
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _thin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of equal parts, so that a curve has a bounded number of points."""
    parts = np.array_split(values, min(len(values), _POINTS))
    return np.array([part.mean() for part in parts])
