"""A picture of a run's history: losses, scores and diversity."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dcgan.training.engine.step import MEASURES

_POINTS = 500  # of a curve: each is the mean of as many steps as it takes

_PARTS = {
    "loss": "loss",
    "score": "mean probability of being real",
    "diversity": "spread beside that of real images",
}


def draw_history(metrics: Path) -> bytes:
    """Draws metrics.jsonl of a run, as a PNG file."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    images = _thin(np.array([row["images"] for row in rows], dtype=np.float64))
    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    parts = figure.subplots(3, 1, sharex=True)
    for axes, (start, label) in zip(parts, _PARTS.items(), strict=True):
        for name in MEASURES:
            if name.startswith(start):
                axes.plot(
                    images,
                    _thin(np.array([row.get(name, np.nan) for row in rows])),
                    label=name,
                    linewidth=1,
                )
        axes.set_ylabel(label)
        axes.legend(loc="upper right")
        axes.grid(alpha=0.3)
    parts[1].set_ylim(0, 1)
    parts[2].set_ylim(bottom=0)
    parts[2].set_xlabel("real images seen")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _thin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of equal parts, so that a curve has a bounded number of points."""
    parts = np.array_split(values, min(len(values), _POINTS))
    return np.array([part.mean() for part in parts])
